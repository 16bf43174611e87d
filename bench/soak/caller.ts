import { Agent, request } from 'undici'

export interface Answer {
  status: number
  body: Record<string, unknown>
  /** When the server says that it is worth trying again, in milliseconds; null when it says nothing. */
  retryAfterMs: number | null
}

/** Longer than any answer may take that is held. */
const ANSWER_MS = 60_000
const connections = new Agent({ connect: { timeout: 2_000 }, headersTimeout: ANSWER_MS, bodyTimeout: ANSWER_MS })

/** One call; undefined when there was no answer, because the other side is away or died meanwhile. */
export async function call(
  url: string,
  options: { method: 'GET' | 'POST'; key: string; headers?: Record<string, string>; body?: unknown },
): Promise<Answer | undefined> {
  const { method, key, headers = {}, body } = options
  try {
    const response = await request(url, {
      method,
      dispatcher: connections,
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const retryAfter = Number(response.headers['retry-after'] ?? Number.NaN)
    return {
      status: response.statusCode,
      body: (await response.body.json()) as Record<string, unknown>,
      retryAfterMs: Number.isNaN(retryAfter) ? null : retryAfter * 1000,
    }
  } catch {
    return undefined
  }
}
