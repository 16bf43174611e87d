import type { Level } from '../core/policy/policy.ts'
import type { Role } from './key-store.ts'

/** Who a credential belongs to. */
export interface Principal {
  id: string
  name: string
  tenant: string
  role: Role
  groups: readonly string[]
  email: string | null
  /** Of an agent, as the configuration says; left out where it says nothing. */
  type?: string
  autonomy?: Level
}

/** A person by what other systems know them by. */
export type PersonRef = { tenant: string; name: string } | { tenant: string; email: string }

/** Tells who a credential belongs to. Rejects with `decider_unavailable` when that cannot be known now. */
export interface Identity {
  /** The owner of a key or token; undefined when it is unknown or revoked. */
  ofSecret(secret: string): Promise<Principal | undefined>
  /** The owner of a browser session. */
  ofSession(sessionId: string): Promise<Principal | undefined>
  /**
   * An approver or admin whom another system has vouched for, as they stand now; undefined when there is none, or when
   * several people have that e-mail address. Addresses are compared without regard to case.
   */
  ofPerson(person: PersonRef): Promise<Principal | undefined>
}
