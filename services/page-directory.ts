import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The built page lies beside the compiled services; from source it is in dist/. */
export function pageDirectory(): string {
  const beside = fileURLToPath(new URL('../dashboard', import.meta.url))
  return existsSync(beside) ? beside : fileURLToPath(new URL('../dist/dashboard', import.meta.url))
}
