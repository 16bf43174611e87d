import { CountersignError } from '../core/errors.ts'
import { type Config, ConfigError, loadConfig } from './config.ts'
import { Lifecycle } from './lifecycle.ts'
import { createLogger, type Logger } from './logger.ts'
import { type LoadedPolicy, loadPolicy } from './policy-file.ts'

export interface ServiceOptions {
  port: number
  host: string
  /** Default `policy.yaml` where it exists, else the starter policy. A file that is named must exist. */
  policyFile?: string
  /** Default `countersign.yaml` where it exists. A file that is named must exist. */
  configFile?: string
  /** How long to wait for engines that cannot be reached at the start, in milliseconds; default 0. */
  waitForMs?: number
  log?: Logger
}

export interface RunningService {
  url: string
  close(): Promise<void>
}

/** What every process begins with: its configuration whole and right, its log, and what it closes at the end. */
export async function startService<S, R extends { url: string }>(
  options: Pick<ServiceOptions, 'configFile' | 'log'>,
  /**
   * Reads what the service needs beside countersign.yaml; adds what is wrong to `problems`, or throws ConfigError.
   * `config` is undefined when countersign.yaml is wrong itself.
   */
  readSettings: (env: NodeJS.ProcessEnv, problems: string[], config: Config | undefined) => S,
  start: (settings: S, parts: { config: Config; log: Logger; lifecycle: Lifecycle }) => Promise<R>,
): Promise<R & RunningService> {
  const problems: string[] = []
  const config = collectProblems(problems, () => readConfig(options))
  const settings = collectProblems(problems, () => readSettings(process.env, problems, config))
  if (!config || settings === undefined || problems.length > 0) throw new ConfigError(problems)
  const log = options.log ?? createLogger(config.logLevel)
  const lifecycle = new Lifecycle(log)
  try {
    return { ...(await start(settings, { config, log, lifecycle })), close: () => lifecycle.close() }
  } catch (error) {
    await lifecycle.close()
    throw error
  }
}

/** The policy of the file that is named, of `policy.yaml`, or the starter policy. Throws ConfigError. */
export const readPolicy = ({ policyFile }: Pick<ServiceOptions, 'policyFile'>): LoadedPolicy =>
  loadPolicy({ file: policyFile ?? 'policy.yaml', required: policyFile !== undefined })

/** The configuration of the file that is named, of `countersign.yaml`, or all defaults. Throws ConfigError. */
export const readConfig = ({ configFile }: Pick<ServiceOptions, 'configFile'>): Config =>
  loadConfig({ file: configFile ?? 'countersign.yaml', required: configFile !== undefined })

/** The value, or undefined with its problems added; everything that is wrong is told at once. */
export function collectProblems<T>(problems: string[], read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    problems.push(...error.problems)
    return undefined
  }
}

const TRY_EVERY_MS = 1_000

/** Connects; an engine that cannot be reached is tried again for `waitForMs`, and then its error is the answer. */
export async function connect<T>(attempt: () => Promise<T>, waitForMs: number, log: Logger): Promise<T> {
  const deadline = performance.now() + waitForMs
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      const isAway = error instanceof CountersignError
      if (!isAway || performance.now() + TRY_EVERY_MS > deadline) throw error
      log.warn({ err: error }, 'not reachable yet; trying again')
      await new Promise((resolve) => setTimeout(resolve, TRY_EVERY_MS))
    }
  }
}
