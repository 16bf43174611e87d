import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../lib/ports/clock.ts'
import type { KeyStore, Role } from '../lib/ports/key-store.ts'
import { hashSecret, newKeyId, newSecret } from '../lib/runtime/keys.ts'

/**
 * What the owner of a data directory has: where the server is, and the credentials that its first start made. Kept in
 * `owner.json` in the directory, mode 0600, so that the owner's shell needs no flags.
 */
export interface Owner {
  url: string
  token: string
  agentKey: string
}

const fileIn = (dataDir: string): string => join(dataDir, 'owner.json')

/** The file is there and says nothing that can be used. */
export class OwnerFileError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'OwnerFileError'
  }
}

/** Undefined where there is no file. Throws OwnerFileError when it cannot be read, or is damaged. */
export function readOwner(dataDir: string): Owner | undefined {
  const file = fileIn(dataDir)
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : 'error'
    if (code === 'ENOENT') return undefined
    throw new OwnerFileError(`${file} cannot be read (${code}).`, { cause: error })
  }
  try {
    const owner: unknown = JSON.parse(text)
    if (isOwner(owner)) return owner
  } catch {
    // Not JSON is as wrong as other JSON.
  }
  throw new OwnerFileError(
    `${file} is damaged. Put it back from a backup; or delete it, and make a key of your own: countersign keys create`,
  )
}

export function writeOwner(dataDir: string, { url, token, agentKey }: Owner): void {
  const file = fileIn(dataDir)
  writeFileSync(`${file}.new`, `${JSON.stringify({ url, token, agentKey })}\n`, { mode: 0o600 })
  renameSync(`${file}.new`, file)
}

/**
 * The credentials of the owner: those of the file, or new ones where nobody is an admin yet. Where there is an admin
 * and no file, nothing is made: whoever took the file away meant it. In a key store that `isNew` those of the file are
 * unknown (it is of another store): new ones take their place.
 */
export async function ensureOwner(
  known: Owner | undefined,
  { keys, isNew }: { keys: KeyStore; isNew: boolean },
  clock: Clock,
): Promise<{ owner: Omit<Owner, 'url'> | undefined; created: boolean }> {
  if (known && !isNew) return { owner: known, created: false }
  if ((await keys.list()).some(({ role }) => role === 'admin')) return { owner: undefined, created: false }
  const create = async (name: string, role: Role) => {
    const secret = newSecret(role)
    await keys.insert({
      id: newKeyId(),
      hash: hashSecret(secret),
      name,
      role,
      tenant: 'default',
      groups: [],
      email: null,
      createdAt: clock.now(),
    })
    return secret
  }
  return { owner: { token: await create('owner', 'admin'), agentKey: await create('agent', 'agent') }, created: true }
}

const isOwner = (value: unknown): value is Owner =>
  typeof value === 'object' &&
  value !== null &&
  ['url', 'token', 'agentKey'].every((name) => typeof Reflect.get(value, name) === 'string')
