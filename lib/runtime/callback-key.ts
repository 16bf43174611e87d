import { hkdfSync, randomBytes } from 'node:crypto'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const BYTES = 32

/** The key that links which decide are signed with, the same on every service that shares a service key. */
export const sharedCallbackKey = (serviceKey: string): Buffer =>
  Buffer.from(hkdfSync('sha256', serviceKey, '', 'countersign callback links', BYTES))

/**
 * The same for a data directory: of the service key where there is one, else of `callback.key` in the directory, which is
 * made where it is missing or damaged (links that were sent before then lead nowhere). Throws the system's error.
 */
export function callbackKey(dataDir: string, serviceKey: string | undefined): Buffer {
  if (serviceKey !== undefined) return sharedCallbackKey(serviceKey)
  const file = join(dataDir, 'callback.key')
  const kept = readKey(file)
  if (kept) return kept
  const key = randomBytes(BYTES)
  writeFileSync(`${file}.new`, `${key.toString('hex')}\n`, { mode: 0o600 })
  renameSync(`${file}.new`, file)
  return key
}

function readKey(file: string): Buffer | undefined {
  let text: string
  try {
    text = readFileSync(file, 'utf8').trim()
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
  return /^[0-9a-f]{64}$/.test(text) ? Buffer.from(text, 'hex') : undefined
}
