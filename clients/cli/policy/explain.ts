import type { PolicyAction } from '../../../lib/core/policy/action.ts'
import { PolicySource } from '../../../lib/core/policy/source.ts'
import type { Deps } from '../deps.ts'
import { CliError, usageError } from '../failure.ts'
import { jsonText, printable } from '../printable.ts'
import { readAction } from './action-file.ts'
import { type Close, type Explanation, explanationOf } from './explanation.ts'
import { faultText, openPolicy, readText } from './policy-text.ts'
import { effectOf, termsText } from './verdict-text.ts'

export interface ExplainOptions {
  tool?: string
  args?: object
  agent?: string
  action?: string
  json?: boolean
}

/** Says what a policy makes of one action. Rejects with CliError 2 when policy or action cannot be read. */
export async function explain(
  file: string | undefined,
  options: ExplainOptions,
  { terminal }: Pick<Deps, 'terminal'>,
): Promise<void> {
  const action = actionOf(options)
  const { compiled } = openPolicy(file, { terminal })
  const explanation = explanationOf(compiled, action)
  if (options.json) return terminal.out(jsonText({ ...explanation, revision: compiled.revision }, 2))
  for (const line of linesOf(explanation)) terminal.out(line)
}

function actionOf({ tool, args, agent, action: file }: ExplainOptions): PolicyAction {
  if ((tool === undefined) === (file === undefined)) throw usageError('Give --tool (with --args), or --action.')
  if (file !== undefined && (args !== undefined || agent !== undefined))
    throw usageError('--args and --agent go with --tool; the file of --action has its own.')
  const name = file ?? 'the command line'
  const given = { tool, ...(args === undefined ? {} : { args }), ...(agent === undefined ? {} : { agent }) }
  const source = new PolicySource(file === undefined ? JSON.stringify(given) : readText(file))
  const root = source.root()
  const action = root && readAction(root)
  if (action && source.errors.length === 0) return action
  throw new CliError(source.errors.map((error) => faultText(name, error)).join('\n'), 2)
}

function linesOf({ verdict, rules }: Explanation): string[] {
  const { rule, risk } = verdict
  const heard = (part: 'overruled' | 'shadow') =>
    rules.flatMap((each) => (each.part === part ? [ruleLines(each.ruleId, each.action, each.why)] : []))
  const facts: [string, string[]][] = [
    ['verdict', [effectOf(verdict)]],
    ['rule', [`${rule.ids.join(', ')}  (revision ${rule.revision})`]],
    ['risk', [risk]],
    ['why', rule.why],
    ['terms', termsText(verdict)],
  ]
  return [
    ...facts.flatMap(([name, texts]) =>
      texts.map((text, at) => `${(at === 0 ? name : '').padEnd(9)}${printable(text)}`),
    ),
    ...section('Overruled: these matched too', heard('overruled')),
    ...section('In shadow: these would have spoken', heard('shadow')),
    ...section('Close: about such calls, but this did not hold', rules.filter(isClose).map(closeLines)),
  ]
}

type Rule = Explanation['rules'][number]

const isClose = (rule: Rule): rule is Close => rule.part === 'close'

const closeLines = ({ ruleId, action, missed }: Close): string[] => ruleLines(ruleId, action, missed)

const ruleLines = (id: string, action: string, said: readonly string[]): string[] => [
  `  ${id}  ${action}`,
  ...said.map((text) => `    ${printable(text)}`),
]

const section = (title: string, rules: readonly string[][]): string[] =>
  rules.length === 0 ? [] : ['', title, ...rules.flat()]
