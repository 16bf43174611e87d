import ipaddr from 'ipaddr.js'
import { type Static, Type } from 'typebox'
import { closed } from './fields.ts'

/** `network` of countersign.yaml. */
export const NetworkFile = Type.Object(
  {
    /** Private networks (CIDR) or addresses that webhooks and callbacks may reach all the same. */
    allowPrivate: Type.Optional(Type.Array(Type.String({ maxLength: 64 }), { maxItems: 1000 })),
  },
  closed,
)

export interface NetworkConfig {
  allowPrivate: string[]
}

export function readNetwork(file: Static<typeof NetworkFile> = {}, problems: string[]): NetworkConfig {
  const allowPrivate = file.allowPrivate ?? []
  for (const [index, text] of allowPrivate.entries())
    if (!isNetwork(text)) problems.push(`network.allowPrivate.${index} must be an IP address or a network (CIDR)`)
  return { allowPrivate }
}

/** Written in full: `127.1` would be an address to some and a mistake to others. */
const isNetwork = (text: string): boolean =>
  ipaddr.IPv4.isValidFourPartDecimal(text) ||
  ipaddr.IPv4.isValidCIDRFourPartDecimal(text) ||
  ipaddr.IPv6.isValid(text) ||
  ipaddr.IPv6.isValidCIDR(text)
