import { type PolicySet, policySet, type Question } from './policy-set.ts'

/**
 * One engine with one policy, in a process of its own: neither engine's heap, caches or compiled code bear on the
 * other's figures. `policy.ts` starts it, `countersign` or `cedar`, and tells it when to run a round.
 */

/** What the child is told: to ask the first so many questions, again and again, for so long. */
export interface Round {
  questions: number
  forMs: number
}

/** What it answers. */
export interface Measured {
  evaluationsPerSecond: number
  /** By CPU time, of all threads of its process: what else the machine does counts less in it. */
  evaluationsPerCpuSecond: number
}

/** What it says first. */
export interface Ready {
  /** To read, check and index the policy, once. */
  readyMs: number
}

/** An engine that holds a policy. `Asked` is a question in its form. */
interface Engine<Asked> extends Ready {
  asked(question: Question): Asked
  /** The rules that speak. */
  rulesFor(asked: Asked): readonly string[]
}

/** The built modules, as they ship: what runs TypeScript here wraps every closure to keep its name. */
async function countersign({ yaml }: PolicySet): Promise<Engine<Question['action']>> {
  const { parsePolicy }: typeof import('../lib/core/policy/parse.ts') = await import(built('parse'))
  const { compilePolicy }: typeof import('../lib/core/policy/compile.ts') = await import(built('compile'))
  const { evaluate }: typeof import('../lib/core/policy/evaluate.ts') = await import(built('evaluate'))
  const start = performance.now()
  const parsed = parsePolicy(yaml)
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors))
  const compiled = compilePolicy(parsed.policy)
  return {
    readyMs: performance.now() - start,
    asked: ({ action }) => action,
    rulesFor: (action) => evaluate(compiled, action).rule.ids,
  }
}

const built = (module: string): string => new URL(`../dist/lib/core/policy/${module}.js`, import.meta.url).href

async function cedar({ cedar: staticPolicies }: PolicySet): Promise<Engine<object>> {
  const { preparsePolicySet, statefulIsAuthorized } = await import('@cedar-policy/cedar-wasm/nodejs')
  const preparsedPolicySetId = 'rules'
  const start = performance.now()
  const parsed = preparsePolicySet(preparsedPolicySetId, { staticPolicies })
  if (parsed.type === 'failure') throw new Error(JSON.stringify(parsed.errors))
  return {
    readyMs: performance.now() - start,
    asked: ({ request }) => request,
    rulesFor(request) {
      const answer = statefulIsAuthorized({ ...(request as Question['request']), preparsedPolicySetId, entities: [] })
      if (answer.type === 'failure') throw new Error(JSON.stringify(answer.errors))
      const { errors, reason } = answer.response.diagnostics
      if (errors.length > 0) throw new Error(JSON.stringify(errors))
      return reason
    },
  }
}

/** Throws where the engine lets another rule speak than the one that is due. */
function agree<Asked>({ asked, rulesFor }: Engine<Asked>, questions: readonly Question[]): void {
  for (const question of questions) {
    const said = rulesFor(asked(question)).join()
    const due = question.rule ?? 'default'
    if (said !== due) throw new Error(`The rules ${said} spoke of ${JSON.stringify(question.action)}; ${due} is due.`)
  }
}

const BATCH = 10

function measure<Asked>({ rulesFor }: Engine<Asked>, questions: readonly Asked[], forMs: number): Measured {
  const cpu = process.cpuUsage()
  const start = performance.now()
  let evaluations = 0
  let spoke = 0
  let elapsedMs = 0
  while (elapsedMs < forMs) {
    for (let at = 0; at < BATCH; at++) {
      spoke += rulesFor(questions[evaluations % questions.length] as Asked).length
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

/** Checks every answer, warms up and says that it is ready; from then on a round whenever the parent says so. */
function serve<Asked>(engine: Engine<Asked>, all: readonly Question[], warmUpMs: number): void {
  agree(engine, all)
  const questions = all.map((question) => engine.asked(question))
  measure(engine, questions, warmUpMs)
  process.on('message', (round: Round) => {
    process.send?.(measure(engine, questions.slice(0, round.questions), round.forMs) satisfies Measured)
  })
  process.once('disconnect', () => process.exit())
  process.send?.({ readyMs: engine.readyMs } satisfies Ready)
}

const [name, rules, questions, warmUpMs] = process.argv.slice(2)
const set = policySet(Number(rules), Number(questions))
if (name === 'countersign') serve(await countersign(set), set.questions, Number(warmUpMs))
else serve(await cedar(set), set.questions, Number(warmUpMs))
