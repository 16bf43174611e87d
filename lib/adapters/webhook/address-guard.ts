import { type LookupAddress, lookup as systemLookup } from 'node:dns'
import type { LookupFunction } from 'node:net'
import ipaddr from 'ipaddr.js'
import { buildConnector } from 'undici'

const CONNECT_MS = 10_000

/** Somebody named a place that must not be reached from here. Its message holds no address: names inside stay inside. */
export class AddressRefusedError extends Error {
  readonly code = 'ADDRESS_REFUSED'
}

type Protocol = 'http:' | 'https:'
type Lookup = (
  hostname: string,
  options: { all: true },
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void

/**
 * Which addresses may be reached: public unicast ones over TLS, and those of `allowPrivate` (CIDR, or single addresses),
 * with or without. IPv4 in IPv6 is judged as IPv4.
 */
export function addressRule(allowPrivate: readonly string[]): (address: string, protocol: Protocol) => boolean {
  const allowed = allowPrivate.map((text) => {
    if (text.includes('/')) return ipaddr.parseCIDR(text)
    const address = ipaddr.parse(text)
    return [address, address.kind() === 'ipv4' ? 32 : 128] as const
  })
  return (text, protocol) => {
    if (!ipaddr.isValid(text)) return false
    const address = ipaddr.process(text)
    const isAllowed = allowed.some(
      ([network, bits]) => network.kind() === address.kind() && address.match(network, bits),
    )
    return isAllowed || (protocol === 'https:' && address.range() === 'unicast')
  }
}

/** Why nothing at this URL can be reached, whatever a name in it leads to; undefined: perhaps something can. */
export function refusalOf(text: string, allowPrivate: readonly string[]): string | undefined {
  const url = new URL(text)
  const protocol = url.protocol === 'http:' ? 'http:' : 'https:'
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  if (ipaddr.isValid(host)) return addressRule(allowPrivate)(host, protocol) ? undefined : refused(protocol).message
  return protocol === 'http:' && allowPrivate.length === 0 ? refused(protocol).message : undefined
}

/**
 * Connects where the rule lets it. An address that stands in the URL is judged as it stands (no resolver is asked about
 * those), a name by each address that it has at this moment, and an open connection once more by its peer, so that a name
 * that changes its mind in between reaches nothing.
 */
export function guardedConnector(deps: { allowPrivate: readonly string[]; lookup?: Lookup }): buildConnector.connector {
  const { allowPrivate, lookup = systemLookup as Lookup } = deps
  const mayReach = addressRule(allowPrivate)

  /** Resolves a name to those of its addresses that may be reached. */
  const lookupFor =
    (protocol: Protocol): LookupFunction =>
    (hostname, options, callback) => {
      lookup(hostname, { all: true }, (error, found) => {
        if (error) return callback(error, '', 0)
        const [first, ...more] = found.filter(({ address }) => mayReach(address, protocol))
        if (!first) return callback(refused(protocol), '', 0)
        if (options.all) callback(null, [first, ...more])
        else callback(null, first.address, first.family)
      })
    }
  const connectors = {
    'http:': buildConnector({ timeout: CONNECT_MS, lookup: lookupFor('http:') }),
    // Said here, it holds whatever NODE_TLS_REJECT_UNAUTHORIZED says.
    'https:': buildConnector({ timeout: CONNECT_MS, lookup: lookupFor('https:'), rejectUnauthorized: true }),
  }

  return (options, callback) => {
    const protocol = options.protocol === 'http:' ? 'http:' : 'https:'
    const host = options.hostname.replace(/^\[(.*)\]$/, '$1')
    if (ipaddr.isValid(host) && !mayReach(host, protocol)) {
      callback(refused(protocol), null)
      return
    }
    connectors[protocol]({ ...options, hostname: host }, (...[error, socket]) => {
      if (error !== null) return callback(error, null)
      if (mayReach(socket.remoteAddress ?? '', protocol)) return callback(null, socket)
      socket.destroy()
      callback(refused(protocol), null)
    })
  }
}

const refused = (protocol: Protocol): AddressRefusedError =>
  new AddressRefusedError(
    protocol === 'http:'
      ? 'http:// reaches addresses of network.allowPrivate alone, and it has none of those'
      : 'its address is not public, and network.allowPrivate does not list it',
  )
