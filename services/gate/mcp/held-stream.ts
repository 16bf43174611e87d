import type { Json } from '../../../lib/core/canonical-json.ts'
import { eventText } from './event-stream.ts'
import type { McpAnswer } from './replies.ts'

/** What a held call sends: first a sign of life, then its answer. */
export async function* held(idle: () => string, conclude: () => Promise<McpAnswer>): AsyncGenerator<string> {
  yield idle()
  const answer = await conclude()
  if (answer.type === 'json') yield eventText({ data: answer.text })
  if (answer.type === 'stream') yield* answer.chunks
}

export async function* nothing(): AsyncGenerator<string> {}

/** Tiny steps: the tool's own progress, which comes after it under the same token, must be further on. */
export const progressText = (progressToken: Json, step: number): string =>
  JSON.stringify({
    jsonrpc: '2.0',
    method: 'notifications/progress',
    params: { progressToken, progress: step / 1_000_000, message: 'Waiting for a person to approve this call.' },
  })
