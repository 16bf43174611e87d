/**
 * The one name that CGI, WSGI and PHP see in `X-Tenant`, `X_Tenant` and `x-tenant`: for them every spelling is another
 * value of the same header.
 */
export function foldHeader(name: string): string {
  const lower = name.toLowerCase()
  return lower.includes('_') ? lower.replaceAll('_', '-') : lower
}
