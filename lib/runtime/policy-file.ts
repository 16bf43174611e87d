import { existsSync, readFileSync } from 'node:fs'
import { type CompiledPolicy, compilePolicy } from '../core/policy/compile.ts'
import { parsePolicy } from '../core/policy/parse.ts'
import { STARTER_POLICY } from '../core/policy/starter.ts'
import { ConfigError } from './config.ts'

/**
 * The policy of a file, ready to judge; the starter policy where there is no file and none is `required`.
 * Throws ConfigError with every fault and its line.
 */
export function loadPolicy({ file, required }: { file: string; required: boolean }): CompiledPolicy {
  const isThere = existsSync(file)
  if (!isThere && required) throw new ConfigError([`${file} does not exist`])
  const parsed = parsePolicy(isThere ? readFileSync(file, 'utf8') : STARTER_POLICY)
  if (parsed.ok) return compilePolicy(parsed.policy)
  throw new ConfigError(parsed.errors.map(({ path, message, line }) => `${file} line ${line}: ${path} ${message}`))
}
