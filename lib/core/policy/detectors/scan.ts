import type { Json } from '../../canonical-json.ts'
import { redactText } from '../../preview.ts'
import type { PolicyAction } from '../action.ts'
import type { Facts } from '../facts.ts'
import type { Command, CommandLine } from '../shell/command-line.ts'
import { textOf } from '../shell/word.ts'

/** Where something is in the action; put in words by `placeText`, and only when there is something to say. */
export interface Place {
  within: Place | null
  step: string | number
}

/** A text somewhere in the action. */
export interface Leaf {
  path: Place
  /** The name that the text stands under, in lower case; of a list, that of the list. */
  key: string
  text: string
}

/** A command line somewhere in the action. */
export interface Line {
  path: Place
  line: CommandLine
}

/** What the detectors look at, worked out once for an action. */
export interface Scan {
  action: PolicyAction
  leaves: readonly Leaf[]
  lines: readonly Line[]
  /** Names whose value is a text or a number, with the value. */
  named: readonly { path: Place; key: string; value: string }[]
  /** The words of the names that the call goes by. */
  nameWords: readonly string[]
  /** True when the action is too large to be looked through. */
  isCut: boolean
}

const MAX_NODES = 5_000
const MAX_TEXT = 256 * 1024
const MAX_COMMANDS = 500
const MAX_PATH = 200
const MAX_NAME = 100
const COMMAND_KEYS = new Set(['command', 'cmd', 'script', 'shell', 'bash', 'commandline', 'shellcommand'])
const ARGUMENT_KEYS = new Set(['args', 'argv', 'arguments'])

/** Looks through arguments, or query and body. Linear in what it looks at, which is bounded. */
export function scan(facts: Facts): Scan {
  const { action } = facts
  const leaves: Leaf[] = []
  const lines: Line[] = []
  const named: { path: Place; key: string; value: string }[] = []
  const open: { path: Place; key: string; value: unknown }[] = rootsOf(action).reverse()
  let nodes = 0
  let left = MAX_TEXT
  let isCut = action.kind === 'http' && action.http.body.state === 'partly'

  let commandsLeft = MAX_COMMANDS
  const addLine = (path: Place, text: string) => {
    if (commandsLeft === 0) {
      isCut = true
      return
    }
    const line = facts.commandLine(text)
    const commands = line.commands.slice(0, commandsLeft)
    if (commands.length < line.commands.length) isCut = true
    commandsLeft -= commands.length
    lines.push({ path, line: { commands, unreadable: line.unreadable } })
  }
  for (let node = open.pop(); node; node = open.pop()) {
    const { path, key, value } = node
    if (++nodes > MAX_NODES || left <= 0) {
      isCut = true
      break
    }
    if (typeof value === 'string') {
      const text = value.slice(0, left)
      if (text.length < value.length) isCut = true
      left -= text.length
      leaves.push({ path, key, text })
      named.push({ path, key, value: text })
      if (COMMAND_KEYS.has(squashed(key))) addLine(path, value)
    } else if (typeof value === 'number') named.push({ path, key, value: String(value) })
    else if (Array.isArray(value)) {
      if (COMMAND_KEYS.has(squashed(key)) && isTexts(value)) addLine(path, value.map(quoted).join(' '))
      const inner = value.slice(0, MAX_NODES)
      for (let at = inner.length - 1; at >= 0; at--)
        open.push({ path: { within: path, step: at }, key, value: inner[at] })
    } else if (typeof value === 'object' && value !== null) {
      const entries = Object.entries(value).slice(0, MAX_NODES)
      const program = entries.find(([name, text]) => COMMAND_KEYS.has(squashed(name)) && typeof text === 'string')
      const words = entries.find(([name, list]) => ARGUMENT_KEYS.has(squashed(name)) && isTexts(list))
      if (program && words && isTexts(words[1]))
        addLine({ within: path, step: program[0] }, [String(program[1]), ...words[1].map(quoted)].join(' '))
      for (const [name, inner] of entries.reverse())
        open.push({ path: { within: path, step: name }, key: name.toLowerCase(), value: inner })
    }
  }
  return { action, leaves, lines, named, nameWords: nameWordsOf(action), isCut }
}

type Root = { path: Place; key: string; value: Json | Readonly<Record<string, readonly string[]>> }

const root = (step: string): Place => ({ within: null, step })

function rootsOf(action: PolicyAction): Root[] {
  if (action.kind !== 'http') return [{ path: root('args'), key: '', value: action.args }]
  const { body, target } = action.http
  return [
    ...(target.queryValues === null ? [] : [{ path: root('query'), key: '', value: target.queryValues }]),
    ...(body.state === 'whole' ? [{ path: root('body'), key: '', value: body.value }] : []),
  ]
}

function nameWordsOf(action: PolicyAction): string[] {
  switch (action.kind) {
    case 'tool':
      return wordsOf(action.tool)
    case 'mcp':
      return [...wordsOf(action.mcp.server), ...wordsOf(action.mcp.tool)]
    case 'http':
      return action.http.upstream === null ? [] : wordsOf(action.http.upstream)
  }
}

/** The lower-case words of a name or a value: `deployToProd` and `db-prod.example` hold `prod`. */
export const wordsOf = (text: string): string[] =>
  text
    .normalize('NFKC')
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== '')

/** Every command of every line, with the place of its line. */
export const commandsOf = ({ lines }: Scan): { path: Place; command: Command }[] =>
  lines.flatMap(({ path, line }) => line.commands.map((command) => ({ path, command })))

/** The words that are known. */
export const knownWords = ({ words }: Command): string[] => words.flatMap((word) => textOf(word) ?? [])

/** `args.items[0].url`, with secrets in its names masked, and bounded however long they are. */
export function placeText(place: Place): string {
  const steps: (string | number)[] = []
  for (let at: Place | null = place; at; at = at.within) steps.push(at.step)
  const [first = '', ...rest] = steps.reverse()
  let text = String(first)
  for (const step of rest) {
    if (text.length > MAX_PATH) break
    text += typeof step === 'number' ? `[${step}]` : stepText(step)
  }
  return text.length > MAX_PATH ? `${text.slice(0, MAX_PATH - 1)}…` : text
}

const squashed = (key: string): string => key.toLowerCase().replace(/[^a-z0-9]/g, '')

const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.length > 0 && value.every((each) => typeof each === 'string')

/** A word as a shell takes it literally. */
const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)

const stepText = (name: string): string => {
  const shown = redactText(name.length > MAX_NAME ? `${name.slice(0, MAX_NAME)}…` : name)
  return /^[A-Za-z_$][\w$-]*$/.test(shown) ? `.${shown}` : `[${JSON.stringify(shown)}]`
}
