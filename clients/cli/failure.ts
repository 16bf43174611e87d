import { ERRORS } from '../../lib/core/errors.ts'
import { CountersignClientError } from '../sdk/index.ts'
import { printable } from './printable.ts'

/** 0 done, 1 refused or found bad, 2 usage or configuration, 3 unreachable. */
export type ExitCode = 0 | 1 | 2 | 3

/** A failure whose message is written for the person at the terminal: what is wrong, and what to do. */
export class CliError extends Error {
  readonly exit: ExitCode
  constructor(message: string, exit: ExitCode, options?: ErrorOptions) {
    super(message, options)
    this.name = 'CliError'
    this.exit = exit
  }
}

export const usageError = (message: string): CliError => new CliError(message, 2)

const OWN_CODES: Record<string, ExitCode> = { usage: 2, unreachable: 3, timeout: 3, invalid_response: 2, aborted: 1 }

/** The exit code of a stable error code (lib/core/errors.ts), or of one of the SDK's own. */
function exitOfCode(code: string): ExitCode {
  if (Object.hasOwn(ERRORS, code)) return ERRORS[code as keyof typeof ERRORS].exit
  return OWN_CODES[code] ?? 1
}

export function exitOf(error: unknown): ExitCode {
  if (error instanceof CliError) return error.exit
  if (error instanceof CountersignClientError) return exitOfCode(error.code)
  return 1
}

const ADVICE: Record<string, string> = {
  unreachable: 'Is it running? Start it: countersign up',
  timeout: 'Is it running? Start it: countersign up',
  unauthenticated: 'Give a valid token with --token or COUNTERSIGN_TOKEN.',
}

/** What to print for an error: the server's words made inert, and what to do about it. */
export function explain(error: unknown): string {
  if (error instanceof CliError) return error.message
  if (!(error instanceof CountersignClientError)) return error instanceof Error ? error.message : String(error)
  const text = error.message.split('\n').map(printable).join('\n')
  const advice = ADVICE[error.code]
  const code = error.problem ? ` (${printable(error.code)})` : ''
  return `${text}${code}${advice === undefined ? '' : `\n${advice}`}`
}
