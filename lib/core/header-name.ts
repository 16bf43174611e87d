/**
 * The one name that CGI, WSGI and PHP see in `X-Tenant`, `X_Tenant` and `x-tenant`: for them every spelling is another
 * value of the same header.
 */
export function foldHeader(name: string): string {
  const lower = name.toLowerCase()
  return lower.includes('_') ? lower.replaceAll('_', '-') : lower
}

/** Of one connection, and so not to be passed on or set (RFC 9110, 7.6.1); `expect` is answered by the gate itself. */
export const CONNECTION_HEADERS: ReadonlySet<string> = new Set([
  'connection',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])
