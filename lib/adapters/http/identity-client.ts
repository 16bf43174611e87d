import { sha256Hex } from '../../core/canonical-json.ts'
import { CountersignError } from '../../core/errors.ts'
import { RecentMap } from '../../core/recent-map.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Identity, Principal } from '../../ports/identity.ts'
import type { DeciderHttp } from './decider-http.ts'

const FRESH_MS = 2_000
/** Through an outage of the decider a known credential keeps working for this long. */
const KNOWN_MS = 60_000
const REMEMBERED = 10_000

interface Known {
  principal: Principal | undefined
  askedAt: number
}

/**
 * Asks the decider who a credential belongs to, by its SHA-256, or who a person is; an answer is good for two seconds.
 * While the decider is away, whom it knew is known for a minute; all others reject with `decider_unavailable`.
 */
export function createIdentityClient({ http, clock }: { http: DeciderHttp; clock: Clock }): Identity {
  const known = new RecentMap<string, Known>(REMEMBERED)
  const asking = new Map<string, Promise<Principal | undefined>>()

  async function ask(name: string, path: string, body: unknown): Promise<Principal | undefined> {
    const before = known.get(name)
    try {
      const { principal } = await http.call<{ principal?: Principal }>(path, body)
      known.set(name, { principal, askedAt: clock.now() })
      return principal
    } catch (error) {
      const isAway = error instanceof CountersignError && error.code === 'decider_unavailable'
      if (isAway && before?.principal && clock.now() - before.askedAt < KNOWN_MS) return before.principal
      throw error
    }
  }

  function find(path: string, body: unknown): Promise<Principal | undefined> {
    const name = `${path} ${JSON.stringify(body)}`
    const fresh = known.get(name)
    if (fresh && clock.now() - fresh.askedAt < FRESH_MS) return Promise.resolve(fresh.principal)
    const underWay = asking.get(name)
    if (underWay) return underWay
    const asked = ask(name, path, body).finally(() => asking.delete(name))
    asking.set(name, asked)
    return asked
  }

  const identify = (kind: 'key' | 'session', secret: string) =>
    find('/v1/internal/identify', { kind, hash: sha256Hex(secret) })

  return {
    ofSecret: (secret) => identify('key', secret),
    ofSession: (sessionId) => identify('session', sessionId),
    ofPerson: (person) => find('/v1/internal/person', person),
  }
}
