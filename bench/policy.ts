import { setFlagsFromString } from 'node:v8'
import { hardware } from './machine.ts'
import { type PolicySet, policySet, type Question } from './policy-set.ts'
import { writeResults } from './report.ts'
import { median } from './statistics.ts'

const SETTINGS = {
  rules: [10, 100, 1_000, 10_000],
  questions: 1_000,
  /** What an agent asks again and again, out of all that may be asked. */
  usual: 100,
  rounds: 15,
  warmUpMs: 1_000,
  roundMs: 200,
}

interface Measured {
  evaluationsPerSecond: number
  /** By CPU time, of all threads: what else the machine does counts less in it. */
  evaluationsPerCpuSecond: number
}

interface Summary extends Measured {
  /** In the best round: nearest to a machine that does nothing else. */
  bestPerSecond: number
}

interface Contender {
  /** To read, check and index the policy, once. */
  readyMs: number
  /** The rules that speak. */
  rulesFor(question: Question): readonly string[]
}

/**
 * Evaluations a second on one core, beside Cedar (WebAssembly) with an equivalent policy that it has read before, in one
 * run. Both get what is asked as plain objects and tell which rules spoke. Throws where the two disagree.
 */
export async function policy(): Promise<void> {
  // V8 of Node 20 can abort when it takes back the inlining of a WebAssembly call (TranslatedValueForWasmReturnKind).
  setFlagsFromString('--no-turbo-inline-js-wasm-calls')
  const levels: object[] = []
  const rows: string[][] = []
  for (const rules of SETTINGS.rules) {
    const set = policySet(rules, SETTINGS.questions)
    const ours = await countersign(set)
    const theirs = await cedar(set)
    for (const contender of [ours, theirs]) agree(contender, set)
    const rounds = compare(ours, theirs, set.questions)
    const level = {
      rules,
      countersign: {
        ...summary(rounds.map((round) => round.ours)),
        usual: summary(rounds.map((round) => round.usual)),
        readyMs: ours.readyMs,
      },
      cedar: { ...summary(rounds.map((round) => round.theirs)), readyMs: theirs.readyMs },
      ratio: median(rounds.map((round) => round.ours.evaluationsPerSecond / round.theirs.evaluationsPerSecond)),
    }
    levels.push(level)
    rows.push([
      whole(rules),
      whole(level.countersign.evaluationsPerSecond),
      whole(level.countersign.bestPerSecond),
      whole(level.countersign.evaluationsPerCpuSecond),
      whole(level.countersign.usual.evaluationsPerSecond),
      `${level.countersign.readyMs.toFixed(0)} ms`,
      whole(level.cedar.evaluationsPerSecond),
      whole(level.cedar.bestPerSecond),
      whole(level.cedar.evaluationsPerCpuSecond),
      `${level.cedar.readyMs.toFixed(0)} ms`,
      `${whole(level.ratio)} ×`,
    ])
  }
  const machine = hardware()
  writeResults('policy', { machine, settings: SETTINGS, levels })
  const figures = ['best', 'per CPU second', 'ready in']
  const header = [
    'rules',
    'countersign/s',
    'best',
    'per CPU second',
    'of the usual',
    'ready in',
    'Cedar/s',
    ...figures,
    'ratio',
  ]
  const { cpu, cores, memoryGiB, node } = machine
  console.log(
    [
      '## policy',
      '',
      `| ${header.join(' | ')} |`,
      `|${header.map(() => '--:').join('|')}|`,
      ...rows.map((cells) => `| ${cells.join(' | ')} |`),
      '',
      `${cpu}, ${cores} cores, ${memoryGiB} GiB, Node ${node}.`,
      '',
    ].join('\n'),
  )
}

/** The built modules, as they ship: what runs TypeScript here wraps every closure to keep its name. */
async function countersign({ yaml }: PolicySet): Promise<Contender> {
  const { parsePolicy }: typeof import('../lib/core/policy/parse.ts') = await import(built('parse'))
  const { compilePolicy }: typeof import('../lib/core/policy/compile.ts') = await import(built('compile'))
  const { evaluate }: typeof import('../lib/core/policy/evaluate.ts') = await import(built('evaluate'))
  const start = performance.now()
  const parsed = parsePolicy(yaml)
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors))
  const compiled = compilePolicy(parsed.policy)
  return { readyMs: performance.now() - start, rulesFor: ({ action }) => evaluate(compiled, action).rule.ids }
}

const built = (module: string): string => new URL(`../dist/lib/core/policy/${module}.js`, import.meta.url).href

async function cedar({ cedar: staticPolicies }: PolicySet): Promise<Contender> {
  const { preparsePolicySet, statefulIsAuthorized } = await import('@cedar-policy/cedar-wasm/nodejs')
  const id = `rules-${Object.keys(staticPolicies).length}`
  const start = performance.now()
  const parsed = preparsePolicySet(id, { staticPolicies })
  if (parsed.type === 'failure') throw new Error(JSON.stringify(parsed.errors))
  const readyMs = performance.now() - start
  return {
    readyMs,
    rulesFor({ request }) {
      const answer = statefulIsAuthorized({ ...request, preparsedPolicySetId: id, entities: [] })
      if (answer.type === 'failure') throw new Error(JSON.stringify(answer.errors))
      const { errors, reason } = answer.response.diagnostics
      if (errors.length > 0) throw new Error(JSON.stringify(errors))
      return reason
    },
  }
}

function agree({ rulesFor }: Contender, { questions }: PolicySet): void {
  for (const question of questions) {
    const said = rulesFor(question).join()
    const due = question.rule ?? 'default'
    if (said !== due) throw new Error(`The rules ${said} spoke of ${JSON.stringify(question.action)}; ${due} is due.`)
  }
}

/** In turn, round by round, so that what else the machine does meets both. */
function compare(
  ours: Contender,
  theirs: Contender,
  questions: readonly Question[],
): { ours: Measured; usual: Measured; theirs: Measured }[] {
  for (const contender of [ours, theirs]) measure(contender, questions, SETTINGS.warmUpMs)
  return Array.from({ length: SETTINGS.rounds }, () => ({
    ours: measure(ours, questions, SETTINGS.roundMs),
    usual: measure(ours, questions.slice(0, SETTINGS.usual), SETTINGS.roundMs),
    theirs: measure(theirs, questions, SETTINGS.roundMs),
  }))
}

const BATCH = 10

function measure({ rulesFor }: Contender, questions: readonly Question[], forMs: number): Measured {
  const cpu = process.cpuUsage()
  const start = performance.now()
  let evaluations = 0
  let spoke = 0
  let elapsedMs = 0
  while (elapsedMs < forMs) {
    for (let at = 0; at < BATCH; at++) {
      const question = questions[evaluations % questions.length]
      if (question) spoke += rulesFor(question).length
      evaluations++
    }
    elapsedMs = performance.now() - start
  }
  if (spoke !== evaluations) throw new Error('Each question is answered by one rule.')
  const { user, system } = process.cpuUsage(cpu)
  return {
    evaluationsPerSecond: (evaluations / elapsedMs) * 1_000,
    evaluationsPerCpuSecond: (evaluations / (user + system)) * 1_000_000,
  }
}

const summary = (rounds: readonly Measured[]): Summary => ({
  evaluationsPerSecond: median(rounds.map(({ evaluationsPerSecond }) => evaluationsPerSecond)),
  evaluationsPerCpuSecond: median(rounds.map(({ evaluationsPerCpuSecond }) => evaluationsPerCpuSecond)),
  bestPerSecond: Math.max(...rounds.map(({ evaluationsPerSecond }) => evaluationsPerSecond)),
})

const whole = (value: number): string => Math.round(value).toLocaleString('en')
