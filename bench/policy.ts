import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { hardware } from './machine.ts'
import type { Measured, Ready, Round } from './policy-contender.ts'
import { writeResults } from './report.ts'
import { median } from './statistics.ts'
import { FROM_SOURCE } from './target.ts'

const SETTINGS = {
  rules: [10, 100, 1_000, 10_000],
  questions: 1_000,
  /** What an agent asks again and again, out of all that may be asked. */
  usual: 100,
  rounds: 15,
  warmUpMs: 1_000,
  roundMs: 200,
}

interface Summary extends Measured {
  /** In the best round: nearest to a machine that does nothing else. */
  bestPerSecond: number
}

/**
 * Evaluations a second on one core, beside Cedar (WebAssembly) with an equivalent policy that it has read before, in one
 * run. Both get what is asked as plain objects and tell which rules spoke. Throws where one of them does not say what is
 * due.
 */
export async function policy(): Promise<void> {
  const levels: object[] = []
  const rows: string[][] = []
  for (const rules of SETTINGS.rules) {
    const ours = await start('countersign', rules)
    const theirs = await start('cedar', rules)
    const rounds = await compare(ours, theirs)
    for (const contender of [ours, theirs]) await contender.close()
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

/** An engine in a process of its own, which ends with this one at the latest. */
interface Contender extends Ready {
  /** Asks the first so many questions, again and again. */
  round(questions: number): Promise<Measured>
  close(): Promise<void>
}

// V8 of Node 20 can abort when it takes back the inlining of a WebAssembly call (TranslatedValueForWasmReturnKind).
const FLAGS = { countersign: [], cedar: ['--no-turbo-inline-js-wasm-calls'] }

/** Resolves when it has answered every question rightly and is warm. */
async function start(name: keyof typeof FLAGS, rules: number): Promise<Contender> {
  const script = fileURLToPath(new URL('policy-contender.ts', import.meta.url))
  const child = fork(script, [name, rules, SETTINGS.questions, SETTINGS.warmUpMs].map(String), {
    execArgv: [...FROM_SOURCE, ...FLAGS[name]],
  })
  const kill = () => child.kill('SIGKILL')
  process.prependOnceListener('exit', kill)
  const ended = once(child, 'exit').finally(() => process.off('exit', kill))
  const answer = async <T>(): Promise<T> => {
    const message = await Promise.race([once(child, 'message'), ended.then(() => undefined)])
    if (!message) throw new Error(`${name} ended with ${rules} rules`)
    return message[0]
  }
  const { readyMs } = await answer<Ready>()
  return {
    readyMs,
    round(questions) {
      child.send({ questions, forMs: SETTINGS.roundMs } satisfies Round)
      return answer()
    },
    async close() {
      child.disconnect()
      await ended
    },
  }
}

/** In turn, round by round, so that what else the machine does meets both. */
async function compare(ours: Contender, theirs: Contender): Promise<Record<'ours' | 'usual' | 'theirs', Measured>[]> {
  const rounds = []
  for (let round = 1; round <= SETTINGS.rounds; round++)
    rounds.push({
      ours: await ours.round(SETTINGS.questions),
      usual: await ours.round(SETTINGS.usual),
      theirs: await theirs.round(SETTINGS.questions),
    })
  return rounds
}

const summary = (rounds: readonly Measured[]): Summary => ({
  evaluationsPerSecond: median(rounds.map(({ evaluationsPerSecond }) => evaluationsPerSecond)),
  evaluationsPerCpuSecond: median(rounds.map(({ evaluationsPerCpuSecond }) => evaluationsPerCpuSecond)),
  bestPerSecond: Math.max(...rounds.map(({ evaluationsPerSecond }) => evaluationsPerSecond)),
})

const whole = (value: number): string => Math.round(value).toLocaleString('en')
