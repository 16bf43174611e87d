import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type CompiledPolicy, compilePolicy } from '../core/policy/compile.ts'
import { parsePolicy } from '../core/policy/parse.ts'
import type { Policy } from '../core/policy/policy.ts'
import { type PolicyError, PolicySource } from '../core/policy/source.ts'
import { STARTER_POLICY } from '../core/policy/starter.ts'
import { ConfigError } from './config.ts'
import { evaluatorKeyFault } from './evaluator-key.ts'

/** What stands at a path now. `digest` is the same as long as nothing changed. */
export interface PolicyBytes {
  digest: string
  /** Neither where there is no file. */
  bytes?: Buffer
  problem?: string
}

export type PolicyContent =
  | { type: 'policy'; policy: CompiledPolicy }
  | { type: 'refused'; faults: PolicyError[] }
  | { type: 'missing' }

export interface LoadedPolicy {
  file: string
  policy: CompiledPolicy
  /** Of the content that it was read from; `missing` where the starter policy holds because there is no file. */
  digest: string
}

/**
 * The policy of a file, ready to judge; the starter policy where there is no file and none is `required`.
 * Throws ConfigError with every fault and its line.
 */
export function loadPolicy({ file, required }: { file: string; required: boolean }): LoadedPolicy {
  const read = readPolicyFile(file)
  const content = judgePolicy(read)
  const { digest } = read
  if (content.type === 'policy') return { file, policy: content.policy, digest }
  if (content.type === 'refused') throw new ConfigError(content.faults.map((fault) => faultText(file, fault)))
  if (required) throw new ConfigError([`${file} does not exist`])
  return { file, policy: starterPolicy(), digest }
}

/** `policy.yaml:3:5: rules[0].action: …` */
export const faultText = (file: string, { line, column, path, message }: PolicyError): string =>
  `${file}:${line}:${column}: ${path === '' ? '' : `${path}: `}${message}`

/** Never throws. */
export function readPolicyFile(file: string): PolicyBytes {
  try {
    const bytes = readFileSync(file)
    return { digest: createHash('sha256').update(bytes).digest('hex'), bytes }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'error'
    if (code === 'ENOENT' || code === 'ENOTDIR') return { digest: 'missing' }
    return { digest: `unreadable ${code}`, problem: `the file cannot be read (${code})` }
  }
}

/** Never throws: whatever cannot be read as a policy is refused. */
export function judgePolicy({ bytes, problem }: PolicyBytes): PolicyContent {
  if (problem !== undefined) return refused(problem)
  if (!bytes) return { type: 'missing' }
  let text: string
  try {
    // Replacing what is not UTF-8 would make other names of it.
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return refused('the file is not UTF-8')
  }
  try {
    const parsed = parsePolicy(text)
    if (!parsed.ok) return { type: 'refused', faults: parsed.errors }
    const faults = keyFaults(text, parsed.policy)
    if (faults.length > 0) return { type: 'refused', faults }
    return { type: 'policy', policy: compilePolicy(parsed.policy) }
  } catch (error) {
    return refused(`the file cannot be judged (${error instanceof Error ? error.message : 'error'})`)
  }
}

/** Evaluators that could not be asked here: a process that judges by the policy needs the secrets that it names. */
function keyFaults(text: string, { evaluators }: Policy): PolicyError[] {
  const source = new PolicySource(text)
  for (const [index, { secret }] of evaluators.external.entries()) {
    const fault = secret === null ? undefined : evaluatorKeyFault(secret)
    if (fault !== undefined) source.fail(['evaluators', 'external', index, 'secret'], fault)
  }
  return source.errors
}

const refused = (message: string): PolicyContent => ({
  type: 'refused',
  faults: [{ path: '', message, line: 1, column: 1 }],
})

function starterPolicy(): CompiledPolicy {
  const parsed = parsePolicy(STARTER_POLICY)
  if (!parsed.ok) throw new Error('the starter policy is not sound')
  return compilePolicy(parsed.policy)
}
