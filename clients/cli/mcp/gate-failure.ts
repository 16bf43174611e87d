import { SdkHttpError } from '@modelcontextprotocol/client'
import { ERRORS, type ErrorCode } from '../../../lib/core/errors.ts'
import { printable } from '../printable.ts'

/** Why the gate did not take a message, as the error of JSON-RPC that its sender gets. */
export interface GateFailure {
  message: string
  code: number
  data?: unknown
  /** The gate knows no such session: nothing was forwarded. */
  isSessionLost: boolean
}

const UNREACHABLE = -32002
const REFUSED = -32001

export function gateFailure(error: unknown, url: string): GateFailure {
  if (error instanceof SdkHttpError) {
    const problem = problemOf(error.data.text)
    const detail = problem?.detail ?? `what answers at ${url} (status ${error.status}) is no gate for MCP.`
    return {
      message: `Countersign: ${printable(String(detail))}`,
      code: codeOf(problem?.code),
      ...(problem === undefined ? {} : { data: problem }),
      isSessionLost: error.status === 404 && problem?.code === 'not_found',
    }
  }
  const reason = error instanceof Error ? error.message : String(error)
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : undefined
  const errno = cause && 'code' in cause ? ` (${String(cause.code)})` : ''
  const isNetwork = error instanceof TypeError || errno !== ''
  return {
    message: isNetwork
      ? `Countersign: the gate at ${new URL(url).origin} did not answer${errno}. Is it running?`
      : `Countersign: ${printable(reason)}`,
    code: UNREACHABLE,
    isSessionLost: false,
  }
}

interface Problem {
  code?: unknown
  detail?: unknown
}

function problemOf(text: unknown): Problem | undefined {
  if (typeof text !== 'string') return undefined
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && 'code' in value ? value : undefined
  } catch {
    return undefined
  }
}

const codeOf = (code: unknown): number =>
  typeof code === 'string' && Object.hasOwn(ERRORS, code) ? ERRORS[code as ErrorCode].rpc : REFUSED
