import { type Option, scanOptions } from './grammar.ts'
import { looksRun } from './interpreter.ts'
import { RUNNERS, type Runner, SAME, SUBCOMMANDS } from './programs.ts'
import type { Reader, Run } from './reader.ts'
import { SPECIAL } from './special.ts'
import { headOf, literal, type Piece, textOf, type Word } from './word.ts'

/** A program that was found, for those who look into what it runs. */
export interface Running {
  reader: Reader
  /** In lower case, without aliases. */
  name: string
  words: readonly Word[]
  run: Run
}

/** Looks into the words of a program that runs others. */
export function runProgram(reader: Reader, spelled: string, words: readonly Word[], run: Run) {
  const lower = spelled.toLowerCase()
  const name = SAME.get(lower) ?? lower
  const running: Running = { reader, name, words, run }
  if (looksRun(running)) return
  const special = SPECIAL.get(name)
  if (special?.(running) === true) return
  const runner = RUNNERS.get(name)
  if (runner) runInner(running, runner, name, words)
  else if (SUBCOMMANDS.has(name)) subcommand(running, name, 0)
}

/** Finds the subcommand, and the program that it runs. */
function subcommand(running: Running, program: string, from: number) {
  const { reader, words } = running
  let key = program
  let at = from
  for (;;) {
    const options = SUBCOMMANDS.get(key)
    if (options) {
      const scan = scanOptions(words, options, at)
      if (typeof scan === 'string') return reader.refuse(`what ${key} does: ${scan}`)
      at = scan.rest
    }
    const word = words[at]
    if (!word) return
    const text = textOf(word)
    if (text === undefined) return reader.refuse(`what ${key} does is not known`)
    key = `${key} ${text}`
    at++
    const special = SPECIAL.get(key)
    if (special?.({ ...running, name: key, words: words.slice(at) }) === true) return
    const runner = RUNNERS.get(key)
    if (runner) return runInner(running, runner, key, words.slice(at))
    if (!SUBCOMMANDS.has(key) && !PARTIAL.has(key)) return
  }
}

const PARTIAL = new Set(
  [...RUNNERS.keys(), ...SPECIAL.keys()].flatMap((key) => {
    const words = key.split(' ')
    return words.slice(1).map((_, at) => words.slice(0, at + 1).join(' '))
  }),
)

function runInner({ reader, run }: Running, runner: Runner, key: string, words: readonly Word[]) {
  const via = [...run.via, key]
  const depth = run.depth + 1
  if (runner.dashes) {
    const dashes = words.findIndex((word) => textOf(word) === '--')
    if (dashes >= 0) return reader.run({ words: words.slice(dashes + 1), via, input: run.input, depth })
    if (words.some((word) => textOf(word) === undefined)) reader.refuse(`what ${key} runs is not known`)
    if (!runner.skip) return
  }
  const scan = scanOptions(words, runner.options)
  if (typeof scan === 'string') return reader.refuse(`what ${key} runs: ${scan}`)
  const { options } = scan
  let { rest } = scan
  if ((key === 'command' || key === 'exec') && options.some(({ name }) => name === '-v' || name === '-V')) return
  let texts = 0
  for (const { name, value } of options)
    if (value && runner.texts?.includes(name)) {
      texts++
      const tail = key === 'env' ? words.slice(rest) : []
      reader.readText(joined([value, ...tail]), via, depth, run.input)
    }
  if (texts > 0 && !runner.joins) return
  const entrypoint = lastValue(options, '--entrypoint')
  const skipped = words.slice(rest, rest + (runner.skip ?? 0))
  if (skipped.some((word) => word.many)) return reader.refuse(`what ${key} runs is not known`)
  rest += runner.skip ?? 0
  const assigns: string[] = []
  if (runner.assigns)
    for (let word = words[rest]; word && /^[A-Za-z_]\w*=/.test(headOf(word)); word = words[rest]) {
      assigns.push(headOf(word).replace(/=.*$/s, ''))
      rest++
    }
  let inner = words.slice(rest)
  const [next] = inner
  // `flock file -c text`, and what may come between a container's name and the program.
  if (key === 'flock' && next && textOf(next) === '-c')
    return reader.readText(joined(inner.slice(1)), via, depth, run.input)
  if (key === 'watch' && options.some(({ name }) => name === '-x' || name === '--exec'))
    return reader.run({ words: inner, via, input: 'none', depth })
  if (next && textOf(next) === '--') inner = inner.slice(1)
  if (entrypoint) inner = [entrypoint, ...inner]
  if (inner.length === 0) {
    if (assigns.length > 0) reader.run({ words: [], via, input: 'none', depth, assigns })
    if (runner.shells && !options.some(({ name }) => QUIET.has(name)))
      reader.run({ words: [literal('sh')], via, input: run.input, depth })
    return
  }
  if (runner.joins) {
    // Each word is a text of its own for those that time several.
    if (key === 'hyperfine') for (const word of inner) reader.readText(word, via, depth)
    else reader.readText(joined(inner), via, depth)
    return
  }
  reader.run({ words: inner, via, input: run.input, depth, assigns })
}

/** Options with which sudo and its like run nothing. */
const QUIET = new Set('-l --list -v --validate -k --reset-timestamp -K -V --version -h --help'.split(' '))

export const lastValue = (options: readonly Option[], ...names: string[]): Word | undefined =>
  options.findLast(({ name, value }) => value !== undefined && names.includes(name))?.value

/** The words as one text, the way ssh, eval and watch join them. */
export function joined(words: readonly Word[]): Word {
  const pieces: Piece[] = []
  for (const [at, word] of words.entries()) pieces.push(...(at > 0 ? [' '] : []), ...word.pieces)
  return { pieces, many: false }
}
