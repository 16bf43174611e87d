import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../../../lib/ports/clock.ts'

const DISCARD_MS = 10_000

/**
 * Reads on what is left of a body that nobody wants any more, so that a caller which sends before it reads comes to its
 * answer. After ten seconds behind the answer the connection is cut.
 */
export function discard(request: IncomingMessage, response: ServerResponse, clock: Clock): void {
  const begin = () => {
    if (request.complete || request.destroyed) return
    // A reader that was left in the middle would keep the rest back.
    request.removeAllListeners('readable')
    request.resume()
    const cancel = clock.after(DISCARD_MS, () => request.destroy())
    request.once('close', cancel).once('end', cancel)
  }
  if (response.writableEnded) begin()
  else response.once('finish', begin)
}
