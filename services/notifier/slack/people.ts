import type { Identity, Principal } from '../../../lib/ports/identity.ts'
import type { SlackApi } from '../../../lib/ports/slack.ts'
import type { Clicker } from './click.ts'

/** Which approver a Slack user is. */
export class People {
  readonly #api: Pick<SlackApi, 'home' | 'user'>
  readonly #identity: Pick<Identity, 'ofPerson'>
  readonly #users: ReadonlyMap<string, string>
  readonly #tenant: string

  constructor(deps: {
    api: Pick<SlackApi, 'home' | 'user'>
    identity: Pick<Identity, 'ofPerson'>
    /** Slack user id → name of the approver. */
    users: ReadonlyMap<string, string>
    tenant: string
  }) {
    this.#api = deps.api
    this.#identity = deps.identity
    this.#users = deps.users
    this.#tenant = deps.tenant
  }

  /**
   * Of those in our workspace, by the click of our app: as the configuration says, else by the e-mail address that Slack
   * has confirmed of a full member. Undefined for everybody else. Rejects while Slack or the decider cannot be asked.
   */
  async approverOf({ userId, teamId, appId }: Clicker): Promise<Principal | undefined> {
    const home = await this.#api.home()
    if (teamId !== home.teamId || (home.appId !== null && appId !== home.appId)) return undefined
    const name = this.#users.get(userId)
    if (name !== undefined) return this.#identity.ofPerson({ tenant: this.#tenant, name })
    const user = await this.#api.user(userId)
    if (user.id !== userId || user.teamId !== home.teamId || !user.isMember || user.email === null) return undefined
    return this.#identity.ofPerson({ tenant: this.#tenant, email: user.email })
  }

  /** The Slack user id of somebody by the approver's name, where the configuration has it. */
  userNamed(name: string): string | undefined {
    for (const [userId, approver] of this.#users) if (approver === name) return userId
    return undefined
  }
}
