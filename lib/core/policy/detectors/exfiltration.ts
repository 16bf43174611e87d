import { redactText } from '../../preview.ts'
import { compileGlob } from '../glob.ts'
import { hostsOf } from './hosts.ts'
import type { Scan } from './scan.ts'
import type { Sighting } from './sighting.ts'

const LOCAL = /^(?:localhost|(?:.+\.)?localhost|127(?:\.\d{1,3}){3}|\[::1\]|0\.0\.0\.0)$/

/**
 * Hosts that are not among the known ones. Without a list nobody can say which those are: then only commands count that
 * plainly send something.
 */
export function compileExfiltration(knownHosts: readonly string[]): (scanned: Scan) => Sighting[] {
  const known = knownHosts.map((glob) => compileGlob(glob.toLowerCase()))
  return (scanned) =>
    hostsOf(scanned)
      .filter(
        ({ host, sends }) => (sends || known.length > 0) && !LOCAL.test(host) && !known.some((fits) => fits(host)),
      )
      .map(({ host, path, sends }) => ({
        message: `${sends ? 'Sends data to' : 'Names'} a host that is not known: ${redactText(host.slice(0, 100))}.`,
        path,
      }))
}
