const WORDS: Record<string, string> = {
  ECONNREFUSED: 'it refused the connection',
  ECONNRESET: 'it closed the connection',
  ENOTFOUND: 'its name cannot be resolved',
  EAI_AGAIN: 'its name cannot be resolved now',
  EHOSTUNREACH: 'there is no way to its host',
  ENETUNREACH: 'there is no way to its network',
  ETIMEDOUT: 'no connection was made in time',
  EPIPE: 'it closed the connection',
  UND_ERR_CONNECT_TIMEOUT: 'no connection was made in time',
  UND_ERR_HEADERS_TIMEOUT: 'it did not begin to answer in time',
  UND_ERR_BODY_TIMEOUT: 'its answer paused for too long',
  UND_ERR_SOCKET: 'it closed the connection',
  UND_ERR_HEADERS_OVERFLOW: 'its answer has more headers than this gate takes',
  UND_ERR_REQ_CONTENT_LENGTH_MISMATCH: 'the body was not as long as its Content-Length',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'its answer was not as long as its Content-Length',
}

/** Why there was no answer, without the address of anybody. A code stands for itself where there are no words. */
export function failureWords(error: unknown): string {
  const code = codeOf(error)
  if (code === undefined) return 'the connection failed'
  if (/CERT|TLS|SSL|EPROTO|UNABLE_TO_VERIFY/.test(code)) return `no trusted TLS connection can be made (${code})`
  if (code.startsWith('HPE_')) return 'its answer is not HTTP'
  return WORDS[code] ?? `the connection failed (${code})`
}

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  // Several addresses, several errors: they say the same more often than not.
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0])
  const code = 'code' in error ? error.code : undefined
  if (typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,60}$/.test(code)) return code
  return error.cause === undefined ? undefined : codeOf(error.cause)
}
