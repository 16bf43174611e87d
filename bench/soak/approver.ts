import { numberOf, wantedOf } from './call.ts'
import { call } from './caller.ts'

const PAUSE_MS = 300

/** Decides whatever is pending, as a person's client would: through the notifier, until `signal` aborts. */
export async function approve(options: { notifierUrl: string; token: string; signal: AbortSignal }): Promise<void> {
  const { notifierUrl, token: key, signal } = options
  while (!signal.aborted) {
    const answer = await call(`${notifierUrl}/v1/approvals/pending?wait=2`, { method: 'GET', key })
    if (answer?.status !== 200) {
      await pause(PAUSE_MS)
      continue
    }
    const items = answer.body.items as { id: string; action: { preview: string } }[]
    // What fails is pending still, and comes again.
    await Promise.all(
      items.map(({ id, action }) => {
        const body = { decision: wantedOf(numberOf(action.preview)) }
        return call(`${notifierUrl}/v1/approvals/${id}/decision`, { method: 'POST', key, body })
      }),
    )
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
