import type { Json } from '../../../../lib/core/canonical-json.ts'
import type { PolicyAction, ToolAction } from '../../../../lib/core/policy/action.ts'
import { compilePolicy } from '../../../../lib/core/policy/compile.ts'
import { evaluate } from '../../../../lib/core/policy/evaluate.ts'
import { parsePolicy } from '../../../../lib/core/policy/parse.ts'
import type { Policy } from '../../../../lib/core/policy/policy.ts'
import type { Verdict } from '../../../../lib/core/policy/verdict.ts'

export function policyOf(text: string): Policy {
  const parsed = parsePolicy(text)
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors, null, 1))
  return parsed.policy
}

export const action = (tool: string, args: Json = {}, more: Partial<ToolAction> = {}): ToolAction => ({
  kind: 'tool',
  tool,
  args,
  agent: { name: 'billing' },
  context: {},
  ...more,
})

/** A judge for a policy's rules, written as the list under `rules:` without its indent. */
export function judge(rules: string, head = 'version: 1\ndefault: allow'): (action: PolicyAction) => Verdict {
  const compiled = compilePolicy(policyOf(`${head}\nrules:\n${rules}`))
  return (given) => evaluate(compiled, given)
}
