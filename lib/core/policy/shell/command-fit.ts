import { matchesGlob } from '../glob.ts'
import type { Command, CommandLine } from './command-line.ts'
import type { CommandSpec, Polarity } from './command-spec.ts'
import { type Answer, hasOption, isFlag, operandsOf, tableName } from './options.ts'
import { SAME, SUBCOMMANDS } from './programs.ts'
import { couldFit, headOf, isUnknown, lastSegment, literal, type Piece, plainPath, textOf, type Word } from './word.ts'
import { writtenBy } from './writes.ts'

/**
 * Why the line fits, in words for people, or undefined when it does not.
 *
 * `strict`: one command that fits, or may fit, is enough, and so is anything that cannot be read. `narrow`: every
 * command of the line fits for certain, all of it can be read, and no file is written but those that `writes` names.
 */
export function commandFits(line: CommandLine, spec: CommandSpec, polarity: Polarity): string | undefined {
  const [unread] = line.unreadable
  if (spec.readable === false)
    return polarity === 'strict' && unread !== undefined ? `cannot be read: ${unread}` : undefined
  if (polarity === 'narrow') return narrow(line, spec)
  let result: string | undefined
  for (const command of line.commands) {
    const answer = strict(command, spec)
    if (answer === 'no') continue
    const reason = inWords(command, spec, answer)
    if (answer === 'yes') return reason
    result ??= reason
  }
  if (result === undefined && spec.readable === null && unread !== undefined)
    return `cannot be read, so it counts: ${unread}`
  return result
}

function strict(command: Command, spec: CommandSpec): Answer {
  const { via } = command
  const writes = [...command.writes, ...writtenBy(command)]
  return all(
    spec.runs.length === 0 ? named(command, spec) : any(spec.runs.map((pattern) => runs(command, pattern, true))),
    ...spec.with.map((option) => hasOption(command, option)),
    ...spec.without.map((option) => not(hasOption(command, option))),
    spec.args.length === 0
      ? 'yes'
      : any(argsOf(command).map((word) => anyPath(spec.args, word, spec.readable === true))),
    spec.writes.length === 0 ? 'yes' : any(writes.map((word) => anyPath(spec.writes, word, spec.readable === true))),
    spec.via.length === 0 ? 'yes' : via.some((each) => spec.via.some((glob) => viaFits(glob, each))) ? 'yes' : 'no',
  )
}

/** What sets variables or opens files alone is a command for those who ask for files, and for nobody else. */
const named = ({ name }: Command, spec: CommandSpec): Answer =>
  name !== '' || spec.writes.length > 0 || spec.args.length > 0 ? 'yes' : 'no'

function narrow(line: CommandLine, spec: CommandSpec): string | undefined {
  if (line.unreadable.length > 0 || line.commands.length === 0) return undefined
  for (const command of line.commands) {
    if (command.assigns.length > 0) return undefined
    const written = spec.writes.length > 0 ? [...command.writes, ...writtenBy(command)] : command.writes
    if (!written.every((word) => isNull(word) || everyPath(spec.writes, word))) return undefined
    const paths = [...operandsOf(command.words, undefined).map(({ word }) => word), ...command.reads]
    if (
      spec.args.length > 0 &&
      !paths.slice(spec.runs.length > 0 ? subcommands(command, spec) : 0).every((word) => everyPath(spec.args, word))
    )
      return undefined
    if (spec.args.length > 0 && !command.words.every((word) => plainOption(command, spec.args, word))) return undefined
    if (command.name === '') continue
    if (spec.runs.length > 0 && !spec.runs.some((pattern) => runs(command, pattern, false) === 'yes')) return undefined
    if (spec.with.some((option) => hasOption(command, option) !== 'yes')) return undefined
    if (spec.without.some((option) => hasOption(command, option) !== 'no')) return undefined
    if (spec.via.length > 0 && !command.via.every((each) => spec.via.some((glob) => viaFits(glob, each))))
      return undefined
    if (spec.via.length > 0 && command.via.length === 0) return undefined
  }
  return `runs nothing but ${spec.runs.length > 0 ? spec.runs.map((words) => words.join(' ')).join(', ') : 'what may run'}`
}

/** How many words of the command the rule has named already. */
const subcommands = (command: Command, spec: CommandSpec): number =>
  Math.max(...spec.runs.map((pattern) => (runs(command, pattern, false) === 'yes' ? pattern.length - 1 : 0)), 0)

/** An option in which no path can hide, or one whose value fits. */
function plainOption(command: Command, globs: readonly string[], word: Word): boolean {
  const text = textOf(word)
  if (text === undefined) return !couldFit('-*', word.pieces)
  if (!text.startsWith('-') || text === '-' || text === '--') return true
  const value = /^--[\w-]+=(.*)$/s.exec(text)?.[1]
  return value === undefined ? isFlag(command, text) : everyPath(globs, literal(value))
}

const isNull = (word: Word): boolean => /^\/dev\/(?:null|stdout|stderr)$/.test(textOf(word) ?? '')

/** Whether the command is the program that the pattern names, doing what its other words name. */
function runs(command: Command, pattern: readonly string[], strictly: boolean): Answer {
  const [program = '', ...rest] = pattern
  if (!isProgram(command, program, strictly)) return 'no'
  if (rest.length === 0) return 'yes'
  const globals = SUBCOMMANDS.get(tableName(command))
  const operands = operandsOf(command.words, globals)
  if (!strictly && operands.slice(0, rest.length).some(({ doubtful }) => doubtful)) return 'no'
  let answer: Answer = 'yes'
  let at = 0
  for (const glob of rest) {
    let found: Answer = 'no'
    for (; at < operands.length && found === 'no'; at++) {
      const operand = operands[at]
      if (!operand) break
      found = wordFits(glob, operand.word, strictly)
      if (found === 'no' && (!strictly || !operand.doubtful)) return 'no'
      // An option of a kind that is not known stood before: its value may have been skipped.
      if (found === 'no' || operand.word.many) answer = 'maybe'
    }
    if (found === 'no') return 'no'
    if (found === 'maybe') answer = 'maybe'
  }
  return answer
}

function isProgram({ name, program }: Command, glob: string, strictly: boolean): boolean {
  if (name === '') return false
  if (strictly) {
    const wanted = glob.toLowerCase()
    const lower = name.toLowerCase()
    if (glob.includes('/')) return matchesGlob(wanted, program.toLowerCase())
    return [lower, SAME.get(lower) ?? lower, program.toLowerCase()].some((each) => matchesGlob(wanted, each))
  }
  // A program of the same name in another folder is another program.
  if (glob.includes('/')) return matchesGlob(glob, program) && plainPath(program) === program
  return matchesGlob(glob, name) && (program === name || /^(?:\/usr(?:\/local)?)?\/s?bin\/[^/]+$/.test(program))
}

function wordFits(glob: string, word: Word, fold: boolean): Answer {
  const text = textOf(word)
  if (text !== undefined)
    return matchesGlob(fold ? glob.toLowerCase() : glob, fold ? text.toLowerCase() : text) ? 'yes' : 'no'
  return couldFit(fold ? glob.toLowerCase() : glob, fold ? folded(word.pieces) : word.pieces) ? 'maybe' : 'no'
}

const folded = (pieces: readonly Piece[]): Piece[] =>
  pieces.map((piece) => (typeof piece === 'string' ? piece.toLowerCase() : piece))

/** How curl and others are told to send a file: `@file`, `-d@file`, `field=@file`, `field=<file`. */
const FILE_MARK = /^(?:-[A-Za-z]|[^=]*=)?[@<]/

/** All words, the files that it reads, and what stands in one after `=` or the mark of a file. */
function argsOf({ words, reads }: Command): Word[] {
  const values = words.flatMap((word) => {
    const head = headOf(word)
    const ends = [head.indexOf('=') + 1, FILE_MARK.exec(head)?.[0].length ?? 0]
    return ends.filter((end) => end > 0).map((end) => dropped(word, end))
  })
  return [...words, ...values, ...reads]
}

function dropped(word: Word, length: number): Word {
  const [first, ...rest] = word.pieces
  return typeof first === 'string' ? { ...word, pieces: [first.slice(length), ...rest] } : word
}

/** A glob without `/` fits the last part of a path as well. */
function anyPath(globs: readonly string[], word: Word, knownOnly: boolean): Answer {
  if (knownOnly && isUnknown(word)) return 'no'
  const text = textOf(word)
  if (text !== undefined) {
    const lower = text.toLowerCase()
    const plain = plainPath(lower)
    const last = plain.slice(plain.lastIndexOf('/') + 1)
    return globs.some((glob) => {
      const wanted = glob.toLowerCase()
      return (
        matchesGlob(wanted, lower) || matchesGlob(wanted, plain) || (!glob.includes('/') && matchesGlob(wanted, last))
      )
    })
      ? 'yes'
      : 'no'
  }
  const pieces = folded(word.pieces)
  const last = lastSegment(pieces)
  return globs.some((glob) => {
    const wanted = glob.toLowerCase()
    return glob.includes('/')
      ? couldFit(wanted, pieces)
      : couldFit(wanted, last) || (!knownOnly && couldFit(wanted, pieces))
  })
    ? 'maybe'
    : 'no'
}

/** For certain: all of it known, and no way up out of the folder that the glob names. */
function everyPath(globs: readonly string[], word: Word): boolean {
  const text = textOf(word)
  if (text === undefined || /(?:^|\/)\.\.(?:\/|$)/.test(text)) return false
  return globs.some((glob) => matchesGlob(glob, text))
}

const viaFits = (glob: string, via: string): boolean =>
  matchesGlob(glob.toLowerCase(), via.toLowerCase()) ||
  matchesGlob(glob.toLowerCase(), via.toLowerCase().split(' ')[0] ?? '')

const all = (...answers: readonly Answer[]): Answer =>
  answers.includes('no') ? 'no' : answers.includes('maybe') ? 'maybe' : 'yes'
const any = (answers: readonly Answer[]): Answer =>
  answers.includes('yes') ? 'yes' : answers.includes('maybe') ? 'maybe' : 'no'
const not = (answer: Answer): Answer => (answer === 'yes' ? 'no' : answer === 'no' ? 'yes' : 'maybe')

function inWords(command: Command, spec: CommandSpec, answer: Answer): string {
  const what = spec.runs.find((pattern) => runs(command, pattern, true) !== 'no')?.join(' ') ?? 'a program'
  const parts = [`${answer === 'yes' ? 'runs' : 'may run'} ${what}`]
  if (spec.with.length > 0) parts.push(`with ${spec.with.join(', ')}`)
  if (spec.without.length > 0) parts.push(`without ${spec.without.join(', ')}`)
  if (spec.args.length > 0) parts.push(`on ${shown(spec.args)}`)
  if (spec.writes.length > 0) parts.push(`writing ${shown(spec.writes)}`)
  if (command.via.length > 0) parts.push(`(via ${command.via.slice(0, 6).join(' → ')})`)
  return parts.join(' ')
}

const shown = (globs: readonly string[]): string =>
  globs.length > 3 ? `${globs.slice(0, 3).join(', ')} …` : globs.join(', ')
