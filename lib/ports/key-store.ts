export const ROLES = ['agent', 'approver', 'admin', 'observer', 'service'] as const
export type Role = (typeof ROLES)[number]

/** A credential's owner. The secret itself is never stored: `hash` is its SHA-256 in hex. */
export interface Key {
  id: string
  hash: string
  name: string
  role: Role
  tenant: string
  groups: string[]
  email: string | null
  createdAt: number
}

/**
 * A browser's session, or a one-time login code: both stand for the owner of `keyId` until they expire. That may be
 * somebody whom the configuration lists, whom this store does not know.
 */
export interface Pass {
  hash: string
  kind: 'session' | 'login'
  keyId: string
  expiresAt: number
}

/** Keys, sessions and login codes. A change made by another process is seen by the next turn. */
export interface KeyStore {
  insert(key: Key): Promise<void>
  findByHash(hash: string): Promise<Key | undefined>
  findById(id: string): Promise<Key | undefined>
  list(): Promise<Key[]>
  /** False when there is no such key. Its sessions end with it. */
  revoke(id: string): Promise<boolean>
  putPass(pass: Pass): Promise<void>
  findPass(hash: string, kind: Pass['kind']): Promise<Pass | undefined>
  /** Removes it and returns it: of several takers, one gets it. */
  takePass(hash: string, kind: Pass['kind']): Promise<Pass | undefined>
  close(): Promise<void>
}
