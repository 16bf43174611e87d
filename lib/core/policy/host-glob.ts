import { compileGlob, globFault } from './glob.ts'
import { normaliseTarget, type Target } from './target.ts'

interface HostGlob {
  host: string
  port: number | null
}

/** Reads `*.example.com`, `api.example.com:8443`, `[::1]`; returns why not for anything else. */
export function parseHostGlob(glob: string): HostGlob | string {
  const [, name = '', digits] = /^(.*?)(?::(\d{1,5}))?$/s.exec(/^\[[^\]]*\]$/.test(glob) ? `${glob}:` : glob) ?? []
  const port = digits === undefined ? null : Number(digits)
  if (!name.includes('*')) {
    const found = normaliseTarget({ scheme: 'http', authority: name.replace(/:$/, ''), path: '/' })
    return found.ok ? { host: found.target.host, port } : found.reason
  }
  const fault = globFault(name)
  if (fault !== undefined) return fault
  if (/[^\x21-\x7e]/.test(name)) return 'spell a name with a star and other letters in punycode (xn--…)'
  return /[/@:]/.test(name) ? 'this is no host' : { host: name.toLowerCase().replace(/\.$/, ''), port }
}

/** Whether a normalised target fits; without a port, every port does. Throws for what `parseHostGlob` refuses. */
export function compileHostGlob(glob: string): (target: Target) => boolean {
  const parsed = parseHostGlob(glob)
  if (typeof parsed === 'string') throw new TypeError(parsed)
  const fits = compileGlob(parsed.host)
  const { port } = parsed
  return (target) => (port === null || port === target.port) && fits(target.host)
}
