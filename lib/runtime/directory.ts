import type { Clock } from '../ports/clock.ts'
import type { Identity, PersonRef, Principal } from '../ports/identity.ts'
import type { Key, KeyStore } from '../ports/key-store.ts'
import { DECIDERS, PEOPLE } from './access.ts'
import type { Config } from './config.ts'
import { hashSecret, randomToken } from './keys.ts'

const LOGIN_CODE_MS = 10 * 60_000
export const SESSION_MS = 12 * 3_600_000

/** Who is who: the keys that the configuration lists, then those of the key store; and their browser sessions. */
export class Directory implements Identity {
  readonly #listed = new Map<string, Principal>()
  /** The people whom the configuration lists, also those without a token: another system may vouch for them. */
  readonly #people: readonly Principal[]
  /** What the configuration says of agents, also of those whose key is in the key store. */
  readonly #agents = new Map<string, Pick<Principal, 'type' | 'autonomy'>>()
  readonly #keys: KeyStore
  readonly #clock: Clock

  /** `serviceKey` is what gates and notifiers in other processes prove themselves with. */
  constructor(config: Pick<Config, 'agents' | 'approvers'>, keys: KeyStore, clock: Clock, serviceKey?: string) {
    this.#keys = keys
    this.#clock = clock
    if (serviceKey !== undefined)
      this.#list(hashSecret(serviceKey), {
        id: 'service',
        name: 'service',
        tenant: 'default',
        role: 'service',
        groups: [],
        email: null,
      })
    for (const { name, tenant, keySha256, type, autonomy } of config.agents) {
      const said = { ...(type === undefined ? {} : { type }), ...(autonomy === undefined ? {} : { autonomy }) }
      this.#agents.set(`${tenant}/${name}`, said)
      const id = `agent:${tenant}:${name}`
      this.#list(keySha256, { id, name, tenant, role: 'agent', groups: [], email: null, ...said })
    }
    this.#people = config.approvers.map(({ name, tenant, tokenSha256, role, groups, email }) => {
      const person = { id: `approver:${tenant}:${name}`, name, tenant, role, groups, email: email ?? null }
      this.#list(tokenSha256, person)
      return person
    })
  }

  #list(hash: string | undefined, principal: Principal): void {
    if (hash !== undefined) this.#listed.set(hash, principal)
  }

  ofSecret(secret: string): Promise<Principal | undefined> {
    return this.ofKeyHash(hashSecret(secret))
  }

  ofSession(sessionId: string): Promise<Principal | undefined> {
    return this.ofSessionHash(hashSecret(sessionId))
  }

  /** As `ofSecret`, for who has the SHA-256 alone. */
  async ofKeyHash(hash: string): Promise<Principal | undefined> {
    const listed = this.#listed.get(hash)
    if (listed) return listed
    const key = await this.#keys.findByHash(hash)
    if (!key) return undefined
    const said = key.role === 'agent' ? this.#agents.get(`${key.tenant}/${key.name}`) : undefined
    return { ...principalOf(key), ...said }
  }

  /** As `ofSession`, for who has the SHA-256 alone. */
  async ofSessionHash(hash: string): Promise<Principal | undefined> {
    const pass = await this.#keys.findPass(hash, 'session')
    if (!pass || pass.expiresAt <= this.#clock.now()) return undefined
    return this.#byId(pass.keyId)
  }

  /** What the configuration says of somebody goes before their keys, and of several keys the newest speaks. */
  async ofPerson(person: PersonRef): Promise<Principal | undefined> {
    const keys = (await this.#keys.list()).toSorted((one, other) => other.createdAt - one.createdAt)
    const known = [...this.#people, ...keys.map(principalOf)].filter(
      ({ tenant, role }) => tenant === person.tenant && ROLES_OF_PEOPLE.has(role),
    )
    const byName = new Map(known.toReversed().map((each) => [each.name, each]))
    if ('name' in person) return decider(byName.get(person.name))
    const email = person.email.toLowerCase()
    const found = [...byName.values()].filter((each) => each.email?.toLowerCase() === email)
    return found.length === 1 ? decider(found[0]) : undefined
  }

  /** A one-time code for the page, good for ten minutes. */
  async issueLoginCode(keyId: string): Promise<string> {
    const code = randomToken()
    const expiresAt = this.#clock.now() + LOGIN_CODE_MS
    await this.#keys.putPass({ hash: hashSecret(code), kind: 'login', keyId, expiresAt })
    return code
  }

  /** The owner of a login code, which is used up by this; undefined when it is unknown, used or too old. */
  async redeemLoginCode(code: string): Promise<Principal | undefined> {
    const pass = await this.#keys.takePass(hashSecret(code), 'login')
    if (!pass || pass.expiresAt <= this.#clock.now()) return undefined
    return this.#byId(pass.keyId)
  }

  /** A new browser session; returns its id, which only the browser keeps. */
  async openSession(principal: Principal): Promise<string> {
    const sessionId = randomToken()
    const expiresAt = this.#clock.now() + SESSION_MS
    await this.#keys.putPass({ hash: hashSecret(sessionId), kind: 'session', keyId: principal.id, expiresAt })
    return sessionId
  }

  async closeSession(sessionId: string): Promise<void> {
    await this.#keys.takePass(hashSecret(sessionId), 'session')
  }

  async #byId(id: string): Promise<Principal | undefined> {
    for (const principal of this.#listed.values()) if (principal.id === id) return principal
    const key = await this.#keys.findById(id)
    return key && principalOf(key)
  }
}

/** Roles that a person's credential can have; an agent or a service of the same name is somebody else. */
const ROLES_OF_PEOPLE = new Set<Principal['role']>(PEOPLE)

const decider = (person: Principal | undefined): Principal | undefined =>
  DECIDERS.some((role) => role === person?.role) ? person : undefined

const principalOf = ({ id, name, tenant, role, groups, email }: Key): Principal => ({
  id,
  name,
  tenant,
  role,
  groups,
  email,
})
