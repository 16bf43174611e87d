import type { Condition } from '../../../lib/core/policy/policy.ts'

/** The texts of all paths of a condition, at every depth, and of its expressions, which hold theirs. */
export function pathsOf(condition: Condition): string[] {
  if ('path' in condition) return [condition.path.text]
  if ('expr' in condition) return [condition.expr]
  if ('not' in condition) return pathsOf(condition.not)
  return ('any' in condition ? condition.any : condition.all).flatMap(pathsOf)
}
