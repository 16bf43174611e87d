import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../../../lib/ports/clock.ts'

const DISCARD_MS = 10_000

/**
 * Reads on what is left of a body when its answer is out, so that a caller which sends before it reads comes to the
 * answer. After ten seconds the connection is cut.
 */
export function discardRest(request: IncomingMessage, response: ServerResponse, clock: Clock): void {
  const { headers } = request
  if (headers['content-length'] === undefined && headers['transfer-encoding'] === undefined) return
  response.once('finish', () => {
    if (request.complete || request.destroyed) return
    // A reader that was left in the middle would keep the rest back.
    request.removeAllListeners('readable')
    request.resume()
    const cancel = clock.after(DISCARD_MS, () => request.destroy())
    request.once('close', cancel).once('end', cancel)
  })
}
