import type { Approver, Via } from '../core/actor.ts'
import type { Principal } from '../ports/identity.ts'

/** A credential's owner as somebody who votes. */
export const approverOf = ({ id, name, groups, email }: Principal, via: Via): Approver => ({
  id,
  name,
  type: 'user',
  via,
  groups,
  ...(email === null ? {} : { email }),
})
