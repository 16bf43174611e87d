import { type Static, Type } from 'typebox'
import { compileHostGlob, parseHostGlob } from '../../core/policy/host-glob.ts'
import { normaliseTarget, type Target } from '../../core/policy/target.ts'
import { webhookKey } from '../../core/webhook-signature.ts'
import { webhookUrlFault } from '../../core/webhook-url.ts'
import { closed } from './fields.ts'

/** `callbacks` of countersign.yaml: where agents that do not wait may be told of the outcome (`context.callback`). */
export const CallbacksFile = Type.Object(
  {
    hosts: Type.Array(Type.String({ minLength: 1, maxLength: 253 }), { minItems: 1, maxItems: 1000 }),
    secret: Type.String({ maxLength: 200 }),
  },
  closed,
)

const USUAL_PORTS: Record<Target['scheme'], number> = { http: 80, https: 443 }

/** A public base URL, as others reach it. */
export const PublicUrl = Type.String({ maxLength: 500 })

export interface CallbackConfig {
  hosts: string[]
  /** `whsec_…`, which signs what is sent there. */
  secret: string
}

export function readCallbacks(
  file: Static<typeof CallbacksFile> | undefined,
  problems: string[],
): CallbackConfig | undefined {
  if (!file) return undefined
  for (const [index, glob] of file.hosts.entries()) {
    const parsed = parseHostGlob(hostOf(glob))
    if (typeof parsed === 'string') problems.push(`callbacks.hosts.${index}: ${parsed}`)
  }
  if (!webhookKey(file.secret)) problems.push('callbacks.secret must be whsec_ and the base64 of 24 to 64 bytes')
  return file
}

/** Without a slash at its end; undefined where the file says nothing, which is the service's own URL. */
export function readPublicUrl(text: string | undefined, problems: string[]): string | undefined {
  if (text === undefined) return undefined
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isBase =
    url !== undefined &&
    /^https?:$/.test(url.protocol) &&
    `${url.username}${url.password}${url.search}${url.hash}` === ''
  if (!isBase) problems.push('publicUrl must be an http(s):// URL without credentials, query or fragment')
  return text.replace(/\/+$/, '')
}

const ANY_PORT = ':*'
const hostOf = (glob: string): string => (glob.endsWith(ANY_PORT) ? glob.slice(0, -ANY_PORT.length) : glob)

/** Without a port, the usual one of the scheme alone: whoever names a host does not mean all that listens there. */
function compileCallbackHost(glob: string): (target: Target) => boolean {
  const fits = compileHostGlob(hostOf(glob))
  const parsed = parseHostGlob(hostOf(glob))
  if (glob.endsWith(ANY_PORT) || (typeof parsed === 'object' && parsed.port !== null)) return fits
  return (target) => target.port === USUAL_PORTS[target.scheme] && fits(target)
}

/** Why an agent's callback URL is refused, without its words; undefined when it is taken. */
export function callbackFault(hosts: readonly string[]): (text: string) => string | undefined {
  const fits = hosts.map(compileCallbackHost)
  return (text) => {
    const fault = webhookUrlFault(text)
    if (fault !== undefined) return fault
    const { protocol, host } = new URL(text)
    const found = normaliseTarget({
      scheme: protocol.slice(0, -1),
      authority: host,
      path: '/',
    })
    if (!found.ok || !fits.some((hasHost) => hasHost(found.target)))
      return fits.length === 0
        ? 'is not taken here: the configuration has no callbacks.hosts'
        : 'names a host that is not in callbacks.hosts'
    return undefined
  }
}
