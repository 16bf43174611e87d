import type { Command } from './command-line.ts'
import type { Grammar } from './grammar.ts'
import { PROGRAMS } from './option-table.ts'
import { SAME, SUBCOMMANDS } from './programs.ts'
import { couldFit, dropHead, headOf, textOf, type Word } from './word.ts'

/** What can be said of a part of a command: `maybe` where a word is not known or could be read in two ways. */
export type Answer = 'yes' | 'maybe' | 'no'

/** The words every command may be asked for, where the program is not in the table. */
const COMMON: Record<string, readonly string[]> = {
  recursive: ['-r', '-R', '--recursive'],
  force: ['-f', '--force'],
  delete: ['-d', '--delete'],
  all: ['-a', '--all'],
  'dry-run': ['--dry-run', '--dryrun'],
  'in-place': ['-i', '--in-place'],
}

/** The names that `with:` knows, apart from spellings that begin with a hyphen. */
export const MEANINGS: ReadonlySet<string> = new Set([
  ...Object.keys(COMMON),
  ...[...PROGRAMS.values()].flatMap(({ meanings }) => [...meanings.keys()]),
])

/** A word that is no option, and whether it could be the value of the option before it. */
export interface Operand {
  word: Word
  /** True where an option whose kind is not known stands just before. */
  doubtful: boolean
}

/** The words that are no options; words after `--` too. */
export function operandsOf(words: readonly Word[], options: Grammar | undefined): Operand[] {
  const operands: Operand[] = []
  let doubtful = false
  for (let at = 0; at < words.length; at++) {
    const word = words[at]
    if (!word) break
    const head = headOf(word)
    if (head === '--' && textOf(word) === '--') {
      for (const after of words.slice(at + 1)) operands.push({ word: after, doubtful: false })
      break
    }
    if (!head.startsWith('-') || head === '-') {
      operands.push({ word, doubtful })
      doubtful = false
      continue
    }
    const valued = options && takesValue(head, options)
    if (valued === true) at++
    doubtful = valued === undefined && !head.includes('=')
  }
  return operands
}

/** Whether the next word is the option's value; undefined where the option is not known. */
function takesValue(head: string, { flags, values, long, longValues }: Grammar): boolean | undefined {
  if (head.startsWith('--')) {
    if (head.includes('=')) return false
    const name = head.slice(2)
    if (longValues.includes(name)) return true
    return long.includes(name) ? false : undefined
  }
  for (let at = 1; at < head.length; at++) {
    const char = head[at] ?? ''
    if (values.includes(char)) return at === head.length - 1
    if (!flags.includes(char)) return undefined
  }
  return false
}

/** True for options that hold no value, as far as the tables know the program. */
export function isFlag(command: Command, word: string): boolean {
  if (/^-[A-Za-z0-9]$|^--[A-Za-z][\w-]*$/.test(word)) return true
  const options = PROGRAMS.get(tableName(command))?.options
  return (
    options !== undefined &&
    /^-[A-Za-z0-9]+$/.test(word) &&
    [...word.slice(1)].every((char) => options.flags.includes(char))
  )
}

/** The program's name as the tables spell it. */
export const tableName = ({ name }: Command): string => {
  const lower = name.toLowerCase()
  return SAME.get(lower) ?? lower
}

/** Whether the command has an option, named by its meaning or by its spelling. */
export function hasOption(command: Command, option: string): Answer {
  const name = tableName(command)
  const globals = SUBCOMMANDS.get(name)
  const [first] = globals ? operandsOf(command.words, globals) : []
  const sub = first && textOf(first.word)
  const known = PROGRAMS.get(name) ?? (sub === undefined ? undefined : PROGRAMS.get(`${name} ${sub}`))
  const words = sub === undefined || !first ? command.words : command.words.slice(command.words.indexOf(first.word) + 1)
  if (first && sub === undefined) {
    // The subcommand itself is not known: any of the program's may be meant.
    const all = [...PROGRAMS].flatMap(([key, { meanings }]) =>
      key.startsWith(`${name} `) ? (meanings.get(option)?.spelled ?? []) : [],
    )
    const answer = search(command.words, option.startsWith('-') ? [option] : all, undefined)
    return answer === 'yes'
      ? 'maybe'
      : answer === 'no' && command.words.some((word) => headOf(word) === '')
        ? 'maybe'
        : 'no'
  }
  if (option.startsWith('-')) return search(command.words, [option], known?.options)
  if (known) return search(words, known.meanings.get(option)?.spelled ?? [], known.options)
  // What a letter means to a program that the tables do not know is a guess.
  const answer = search(words, [`--${option}`], undefined)
  return answer === 'no' ? atMostMaybe(search(words, COMMON[option] ?? [], undefined)) : answer
}

const atMostMaybe = (answer: Answer): Answer => (answer === 'yes' ? 'maybe' : answer)

function search(words: readonly Word[], spelled: readonly string[], options: Grammar | undefined): Answer {
  let answer: Answer = 'no'
  let ended = false
  let value: 'yes' | 'maybe' | undefined
  for (const [at, word] of words.entries()) {
    if (textOf(word) === '--' && !ended) {
      ended = true
      continue
    }
    const isValue = value
    value = undefined
    const head = headOf(word)
    const option = head.startsWith('-') && head !== '-'
    if (isValue !== 'yes' && option && !ended) {
      const valued = options && takesValue(head, options)
      if (valued !== false && !head.includes('=')) value = valued === true ? 'yes' : 'maybe'
    }
    for (const each of spelled) {
      const found = compare(word, each, words[at + 1], options, ended)
      if (found === 'no') continue
      // What a known option takes for its value is no option; for others it may be one.
      if (isValue === 'yes') continue
      if (found === 'yes' && isValue === undefined && !(ended && !each.startsWith('arg:')))
        return isTakenBack(words, each) ? 'maybe' : 'yes'
      if (!(ended && options && !each.startsWith('arg:'))) answer = 'maybe'
    }
  }
  return answer
}

/** `--no-force` after `--force`. */
const isTakenBack = (words: readonly Word[], spelled: string): boolean =>
  spelled.startsWith('-') &&
  words.some(
    (word) => headOf(word).startsWith('--no-') && spelled.replace(/^-+/, '').startsWith(headOf(word).slice(5)[0] ?? ''),
  )

function compare(
  word: Word,
  spelled: string,
  after: Word | undefined,
  options: Grammar | undefined,
  ended: boolean,
): Answer {
  const text = textOf(word)
  const head = headOf(word)
  if (spelled.startsWith('arg:')) {
    const glob = spelled.slice(4).replace('?', '')
    const longer = spelled.includes('?') ? glob.length : 0
    if (text !== undefined) {
      if (text.startsWith('-') && !ended) return 'no'
      return couldFit(glob.toLowerCase(), [text.toLowerCase()]) && text.length >= longer ? 'yes' : 'no'
    }
    return couldFit(glob, word.pieces) ? 'maybe' : 'no'
  }
  if (word.operand) return 'no'
  if (spelled.includes('=')) return withValue(word, spelled, after)
  if (spelled.startsWith('--')) return long(word, spelled)
  if (spelled.length > 2) return text === undefined ? maybe(couldFit(spelled, word.pieces)) : whole(text, spelled)
  // A letter, maybe in a cluster.
  const letter = spelled.slice(1)
  if (head.startsWith('--')) return 'no'
  if (head.startsWith('-')) return inCluster(head, letter, options, text !== undefined)
  if (head !== '' || text !== undefined) return 'no'
  // What is not known may be `-f`, unless the part that is known could stand in no cluster.
  return maybe(word.pieces.every((piece) => typeof piece !== 'string' || /^[A-Za-z0-9]*$/.test(piece)))
}

function inCluster(head: string, letter: string, options: Grammar | undefined, whole: boolean): Answer {
  for (let at = 1; at < head.length; at++) {
    const char = head[at] ?? ''
    if (char === letter) return options || head.length === 2 ? 'yes' : 'maybe'
    if (options?.values.includes(char)) return 'no'
    if (!/[A-Za-z0-9]/.test(char)) return 'no'
  }
  return maybe(!whole)
}

function long(word: Word, spelled: string): Answer {
  const text = textOf(word)
  const open = spelled.endsWith('*')
  const bare = open ? spelled.slice(0, -1) : spelled
  if (text === undefined) {
    // Any unambiguous beginning is the option as well.
    for (let length = 3; length <= bare.length; length++)
      if (couldFit(length < bare.length ? bare.slice(0, length) : open ? `${bare}*` : bare, word.pieces)) return 'maybe'
    return maybe(headOf(word) !== '' && couldFit(`${bare}=*`, word.pieces))
  }
  const name = text.replace(/=.*$/s, '')
  if (name === bare || (open && name.startsWith(bare)))
    return /=(?:false|none|no|off|0)?$/i.test(text) ? 'maybe' : 'yes'
  // GNU and git take any unambiguous beginning for the whole.
  return maybe(name.length > 2 && bare.startsWith(name))
}

function withValue(word: Word, spelled: string, after: Word | undefined): Answer {
  const [name = '', value = ''] = spelled.split('=')
  const isShort = !name.startsWith('--')
  const head = headOf(word)
  if (head === '') return maybe(textOf(word) === undefined && !word.operand)
  const cluster = isShort ? new RegExp(`^-[A-Za-z]*?${name.slice(1)}`).exec(head)?.[0] : undefined
  const given = isShort
    ? cluster === undefined
      ? undefined
      : head.length > cluster.length || textOf(word) === undefined
        ? dropHead(word, cluster.length)
        : after
    : head === name
      ? after
      : head.startsWith(`${name}=`)
        ? dropHead(word, name.length + 1)
        : undefined
  if (!given) return 'no'
  const text = textOf(given)
  if (text === undefined) return maybe(couldFit(value, given.pieces))
  return text.replace(/^=/, '').trim().toLowerCase() === value.toLowerCase() ? 'yes' : 'no'
}

const whole = (text: string, spelled: string): Answer =>
  spelled.endsWith('*') ? (text.startsWith(spelled.slice(0, -1)) ? 'yes' : 'no') : text === spelled ? 'yes' : 'no'

const maybe = (holds: boolean): Answer => (holds ? 'maybe' : 'no')
