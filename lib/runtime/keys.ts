import { randomBytes } from 'node:crypto'
import { sha256Hex } from '../core/canonical-json.ts'
import type { Role } from '../ports/key-store.ts'

const PREFIX: Record<Role, string> = {
  agent: 'csk_',
  service: 'css_',
  approver: 'cst_',
  admin: 'cst_',
  observer: 'cst_',
}

/** A new secret of 256 random bits for a role: `csk_` agents, `cst_` people, `css_` services. */
export const newSecret = (role: Role): string => PREFIX[role] + randomBytes(32).toString('base64url')

/** What is stored of a secret. 256 random bits need no salt and no slow hash. */
export const hashSecret = sha256Hex

/** An id for a key; it says nothing of the secret. */
export const newKeyId = (): string => `key_${randomBytes(9).toString('base64url')}`

/** 256 random bits for sessions, login codes and stream tickets. */
export const randomToken = (): string => randomBytes(32).toString('base64url')
