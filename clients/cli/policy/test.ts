import type { Deps } from '../deps.ts'
import { CliError } from '../failure.ts'
import { jsonText, printable } from '../printable.ts'
import { differences, parseCases } from './cases.ts'
import { faultText, openPolicy, readText } from './policy-text.ts'
import { effectOf } from './verdict-text.ts'

/** Judges every case of a file. Rejects with CliError 1 when a verdict differs, 2 when policy or cases cannot be read. */
export async function test(
  file: string | undefined,
  options: { cases: string; json?: boolean },
  { terminal }: Pick<Deps, 'terminal'>,
): Promise<void> {
  const { compiled } = openPolicy(file, { terminal })
  const parsed = parseCases(readText(options.cases))
  if (!parsed.ok) throw new CliError(parsed.errors.map((error) => faultText(options.cases, error)).join('\n'), 2)
  const { cases } = parsed
  const differing = differences(compiled, cases)
  if (options.json) {
    const items = differing.map(({ case: { name, expect, rule }, verdict }) => ({
      name,
      expected: { effect: expect, ...(rule === null ? {} : { rule }) },
      actual: { effect: effectOf(verdict), rules: verdict.rule.ids, why: verdict.rule.why },
    }))
    terminal.out(jsonText({ ok: items.length === 0, cases: cases.length, differing: items }, 2))
  } else {
    for (const { case: each, verdict } of differing) {
      terminal.out(`${printable(each.name)}`)
      terminal.out(`  expected  ${each.expect}${each.rule === null ? '' : ` by ${printable(each.rule)}`}`)
      terminal.out(`  got       ${effectOf(verdict)} by ${verdict.rule.ids.join(', ')}`)
      for (const why of verdict.rule.why) terminal.out(`            ${printable(why)}`)
    }
  }
  const told = `${cases.length} ${cases.length === 1 ? 'case' : 'cases'}`
  if (differing.length > 0) throw new CliError(`${differing.length} of ${told} differ.`, 1)
  if (!options.json) terminal.out(`${told}, all as expected`)
}
