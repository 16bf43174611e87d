import { type FSWatcher, watch } from 'node:fs'
import { dirname } from 'node:path'
import type { CompiledPolicy } from '../core/policy/compile.ts'
import type { Clock } from '../ports/clock.ts'
import type { Logger } from './logger.ts'
import type { Metrics } from './metrics.ts'
import { faultText, judgePolicy, type LoadedPolicy, type PolicyBytes, readPolicyFile } from './policy-file.ts'

/** A file counts as written when it holds the same for this long: half a policy can be a sound one that allows more. */
const SETTLE_MS = 200
/** For what no event tells: targets of links in other directories, network file systems, a directory made anew. */
const POLL_MS = 10_000
/** In one log line. */
const MAX_FAULTS = 20

/**
 * The policy in force, taken anew from its file when that changes. A new one is in force as a whole from one call to the
 * next. A file that is refused or gone changes nothing: the policy that was read last stays, and the log says why.
 */
export class PolicyWatch {
  readonly #file: string
  readonly #log: Logger
  readonly #metrics: Metrics
  readonly #clock: Clock
  #policy: CompiledPolicy
  /** The digest of what was judged last. */
  #seen: string
  /** The digest of what was read last and must be read again before it is judged. */
  #unsettled: string | undefined
  #watcher: FSWatcher | undefined
  #cancelLook: (() => void) | undefined
  #cancelPoll: (() => void) | undefined

  constructor(deps: { loaded: LoadedPolicy; log: Logger; metrics: Metrics; clock: Clock }) {
    const { file, policy, digest } = deps.loaded
    this.#file = file
    this.#log = deps.log
    this.#metrics = deps.metrics
    this.#clock = deps.clock
    this.#policy = policy
    this.#seen = digest
    this.#show(digest === 'missing' ? 'starter' : 'file')
    try {
      // The directory: editors and ConfigMaps put another file in the place of the one that was watched.
      this.#watcher = watch(dirname(file), { persistent: false })
        .on('change', () => this.#lookSoon())
        .on('error', (error) => this.#unwatched(error))
    } catch (error) {
      this.#unwatched(error)
    }
    this.#poll()
  }

  /** The policy in force. Ask anew for every action. */
  get current(): CompiledPolicy {
    return this.#policy
  }

  /** Reads the file now, whether or not it changed. */
  reload(): void {
    const read = readPolicyFile(this.#file)
    if (read.digest === this.#seen) {
      this.#metrics.policyReloads.inc({ outcome: 'unchanged' })
      this.#log.info({ file: this.#file, revision: this.#policy.revision }, 'the policy file has not changed')
    } else this.#take(read)
  }

  close(): void {
    this.#watcher?.close()
    this.#cancelLook?.()
    this.#cancelPoll?.()
  }

  #poll(): void {
    this.#cancelPoll = this.#clock.after(POLL_MS, () => {
      this.#lookSoon()
      this.#poll()
    })
  }

  #unwatched(error: unknown): void {
    this.#watcher?.close()
    this.#log.warn({ err: error, file: this.#file }, `the policy file is looked at every ${POLL_MS / 1000} s alone`)
  }

  #lookSoon(): void {
    this.#cancelLook ??= this.#clock.after(SETTLE_MS, () => {
      this.#cancelLook = undefined
      this.#look()
    })
  }

  #look(): void {
    const read = readPolicyFile(this.#file)
    if (read.digest === this.#seen) {
      this.#unsettled = undefined
    } else if (read.digest === this.#unsettled) {
      this.#take(read)
    } else {
      this.#unsettled = read.digest
      this.#lookSoon()
    }
  }

  #take(read: PolicyBytes): void {
    this.#seen = read.digest
    this.#unsettled = undefined
    const file = this.#file
    const { revision } = this.#policy
    const content = judgePolicy(read)
    switch (content.type) {
      case 'policy':
        this.#policy = content.policy
        this.#told('loaded')
        this.#show('file')
        this.#log.info(
          { file, revision: content.policy.revision, before: revision, rules: content.policy.rules.length },
          'policy loaded',
        )
        break
      case 'refused': {
        this.#told('refused')
        const faults = content.faults.slice(0, MAX_FAULTS).map((fault) => faultText(file, fault))
        this.#log.error(
          { file, revision, faults, faultCount: content.faults.length },
          'policy refused; the one before stays in force',
        )
        break
      }
      case 'missing':
        this.#told('missing')
        this.#log.error({ file, revision }, 'the policy file is gone; what was read from it stays in force')
    }
  }

  #told(outcome: 'loaded' | 'refused' | 'missing'): void {
    this.#metrics.policyReloads.inc({ outcome })
    this.#metrics.policyStale.set(outcome === 'loaded' ? 0 : 1)
  }

  #show(source: 'file' | 'starter'): void {
    this.#metrics.policyInfo.reset()
    this.#metrics.policyInfo.set({ revision: this.#policy.revision, source }, 1)
  }
}
