import type { HookTarget } from './target.ts'

/** What a hook was given. */
export interface HookInput {
  /** Undefined where the JSON does not say, or is none: the gate says what is wrong with it. */
  event: string | undefined
  body: Uint8Array<ArrayBuffer> | string
}

/** No proxy on the way waits longer than 60 s for an answer: the wait is asked for in pieces. */
const PIECE_WAIT_SECONDS = 50
const PIECE_MS = 58_000

/**
 * The gate's answer as JSON text, when a person has decided or `waitSeconds` have passed. Rejects when the gate cannot be
 * reached, or answers what is no answer to this hook.
 */
export async function askGate(target: HookTarget, hook: HookInput, waitSeconds: number): Promise<string> {
  const deadline = performance.now() + waitSeconds * 1000
  let approvalId: string | undefined
  for (;;) {
    const left = Math.max(0, Math.round((deadline - performance.now()) / 1000))
    const wait = Math.min(left, PIECE_WAIT_SECONDS)
    const answer = await send(target, hook, wait, approvalId)
    if (answer.decision !== 'pending' || wait === 0 || answer.approvalId === undefined) return answer.text
    approvalId = answer.approvalId
  }
}

interface HookAnswer {
  decision: string
  approvalId: string | undefined
  text: string
}

async function send(
  { url, key, autonomy }: HookTarget,
  { event, body }: HookInput,
  wait: number,
  approvalId: string | undefined,
): Promise<HookAnswer> {
  const { response, text } = await fetchText(`${url}/hooks/claude-code`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${key}`,
      'content-type': 'application/json',
      prefer: `wait=${wait}`,
      ...(approvalId === undefined ? {} : { 'countersign-approval': approvalId }),
      ...(autonomy === null ? {} : { 'countersign-autonomy': autonomy }),
    },
    body,
    redirect: 'error',
    signal: AbortSignal.timeout(PIECE_MS),
  })
  const decision = response.headers.get('countersign-decision')
  if (response.status !== 200 || decision === null || !isAnswer(decision, event, text))
    throw new Error(`what answers at ${url} (status ${response.status}) is no gate for hooks. Is the address right?`)
  return { decision, approvalId: response.headers.get('countersign-approval') ?? undefined, text }
}

async function fetchText(url: string, init: RequestInit): Promise<{ response: Response; text: string }> {
  try {
    const response = await fetch(url, init)
    return { response, text: await response.text() }
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
    const code = cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : ''
    throw new Error(`the gate at ${new URL(url).origin} did not answer${code}. Is it running?`, { cause: error })
  }
}

/** Whether a body decides what the header says, in the form that this event takes. */
function isAnswer(decision: string, event: string | undefined, text: string): boolean {
  const output = objectOf(() => JSON.parse(text))
  if (!output) return false
  if (event?.startsWith('PostToolUse')) return output.hookSpecificOutput === undefined
  if (decision === 'none') return output.hookSpecificOutput === undefined
  const specific = objectOf(() => output.hookSpecificOutput)
  const name = event === 'PermissionRequest' ? event : 'PreToolUse'
  const said =
    name === 'PermissionRequest' ? objectOf(() => specific?.decision)?.behavior : specific?.permissionDecision
  return specific?.hookEventName === name && said === (decision === 'pending' ? 'deny' : decision)
}

function objectOf(read: () => unknown): Record<string, unknown> | undefined {
  try {
    const value = read()
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined
  } catch {
    return undefined
  }
}
