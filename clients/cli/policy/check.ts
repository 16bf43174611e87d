import { type CompiledPolicy, compilePolicy } from '../../../lib/core/policy/compile.ts'
import { parsePolicy } from '../../../lib/core/policy/parse.ts'
import { type PolicyError, PolicySource } from '../../../lib/core/policy/source.ts'
import type { Deps } from '../deps.ts'
import { CliError } from '../failure.ts'
import { jsonText } from '../printable.ts'
import { DEFAULT_FILE, faultText, readText } from './policy-text.ts'
import { silentRules } from './silent-rules.ts'

/** Says everything that is wrong with a policy file. Rejects with CliError 1 when anything is, 2 when it cannot be read. */
export async function check(
  given: string | undefined,
  options: { json?: boolean },
  { terminal }: Pick<Deps, 'terminal'>,
): Promise<void> {
  const file = given ?? DEFAULT_FILE
  const text = readText(file)
  const parsed = parsePolicy(text)
  if (!parsed.ok) {
    const { errors } = parsed
    if (options.json) terminal.out(jsonText({ ok: false, file, errors, warnings: [] }, 2))
    else for (const error of errors) terminal.out(faultText(file, error))
    throw new CliError(`${errors.length} ${errors.length === 1 ? 'fault' : 'faults'} in ${file}.`, 1)
  }
  const compiled = compilePolicy(parsed.policy)
  const warnings = warningsOf(compiled, text)
  const { revision, rules } = compiled
  if (options.json)
    return terminal.out(jsonText({ ok: true, file, revision, rules: rules.length, errors: [], warnings }, 2))
  for (const warning of warnings) terminal.out(faultText(file, { ...warning, message: `warning: ${warning.message}` }))
  terminal.out(`${file}: sound, ${rules.length} ${rules.length === 1 ? 'rule' : 'rules'}, revision ${revision}`)
}

function warningsOf({ policy }: CompiledPolicy, text: string): PolicyError[] {
  const source = new PolicySource(text)
  for (const { index, rule, by } of silentRules(policy))
    source.fail(
      ['rules', index],
      `rule "${rule.id}": it never has a say: ${by.action} of the rule "${by.id}" goes before`,
    )
  return source.errors
}
