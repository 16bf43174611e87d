import type { Assignment, Word as SyntaxWord, WordPart } from 'unbash'
import type { Constants } from './constants.ts'
import { ANY, ANY_WORDS, GLOB, type Piece, type Word } from './word.ts'

/** More words than this from one pair of braces are taken as unknown. */
const MAX_WORDS = 64

interface Draft {
  pieces: Piece[]
  many: boolean
}

/** The words that the shell makes of one, as far as the text tells. */
export function expand(word: SyntaxWord, constants: Constants): Word[] {
  const { parts } = word
  if (parts === undefined) return [{ pieces: [word.value], many: false }]
  const [only] = parts
  if (parts.length === 1 && only) {
    const value = variableIn(only, constants)
    if (value !== undefined && /[\s]/.test(value)) return fields(value)
    if (value === '') return []
  }
  let drafts: Draft[] = [{ pieces: [], many: false }]
  for (const [at, part] of parts.entries()) {
    if (part.type === 'BraceExpansion') {
      const choices = part.parts === undefined ? braces(part.text) : undefined
      if (choices && choices.length * drafts.length > MAX_WORDS) return [ANY_WORDS]
      if (choices)
        drafts = choices.flatMap((choice) => drafts.map(({ pieces, many }) => ({ pieces: [...pieces, choice], many })))
      else
        for (const draft of drafts) {
          draft.pieces.push(ANY)
          draft.many = true
        }
      continue
    }
    const next = parts[at + 1]
    // zsh reads `$x:h` and `$x[1]` as more than the variable.
    const modified = part.type === 'SimpleExpansion' && next?.type === 'Literal' && /^[:[]/.test(next.text)
    const added = piecesOf(part, constants, modified)
    for (const draft of drafts) {
      draft.pieces.push(...added.pieces)
      draft.many ||= added.many
    }
  }
  return drafts.map(({ pieces, many }) => ({ pieces, many }))
}

/** Where the shell makes no more than one word of it: the value of an assignment, a here-document. */
export function expandWhole(parts: readonly WordPart[], constants: Constants): Word {
  const pieces: Piece[] = []
  for (const part of parts)
    if (part.type === 'Glob' || part.type === 'BraceExpansion' || part.type === 'ExtendedGlob') pieces.push(part.text)
    else pieces.push(...piecesOf(part, constants, false, true).pieces)
  return { pieces, many: false }
}

/** `name=value` as one word. */
export function expandAssignment({ name, append, value, text }: Assignment, constants: Constants): Word {
  const head = text.startsWith(name) && !text.startsWith(`${name}[`) ? `${name}${append ? '+' : ''}=` : undefined
  if (value.type === 'ArrayValue' || head === undefined) return { pieces: [`${name}=`, ANY], many: false }
  const whole = value.parts === undefined ? [value.value] : expandWhole(value.parts, constants).pieces
  return { pieces: [head, ...whole], many: false }
}

function piecesOf(part: WordPart, constants: Constants, modified: boolean, quoted = false): Draft {
  switch (part.type) {
    case 'Literal':
    case 'SingleQuoted':
    case 'AnsiCQuoted':
      return { pieces: [part.value], many: false }
    case 'Glob':
      return { pieces: [GLOB], many: false }
    case 'DoubleQuoted':
    case 'LocaleString': {
      const drafts = part.parts.map((inner) => piecesOf(inner, constants, false, true))
      return { pieces: drafts.flatMap(({ pieces }) => pieces), many: drafts.some(({ many }) => many) }
    }
    case 'ProcessSubstitution':
      return { pieces: ['/dev/fd/', ANY], many: false }
    case 'SimpleExpansion':
    case 'ParameterExpansion': {
      const value = modified ? undefined : variableIn(part, constants)
      if (value === undefined) return { pieces: [ANY], many: quoted ? spreads(part.text) : true }
      if (quoted || !/[\s*?[]/.test(value)) return { pieces: [value], many: false }
      return { pieces: [ANY], many: true }
    }
    default:
      return { pieces: [ANY], many: !quoted }
  }
}

const spreads = (text: string): boolean => /^\$\{?@|\[@\]|^\$\{![^}]*@/.test(text)

function variableIn(part: WordPart, constants: Constants): string | undefined {
  if (part.type === 'SimpleExpansion') return constants.valueOf(part.text.replace(/\\\n/g, '').slice(1))
  if (part.type !== 'ParameterExpansion' || part.prefix || part.index || part.operation) return undefined
  return constants.valueOf(part.parameter)
}

const fields = (value: string): Word[] =>
  value
    .split(/[ \t\n]+/)
    .filter((field) => field !== '')
    .map((field) => ({ pieces: /[*?[]/.test(field) ? [ANY] : [field], many: /[*?[]/.test(field) }))

/** `{a,b{c,d}}` as its words; undefined for what is not as simple as that. */
function braces(text: string): string[] | undefined {
  if (/[\\'"$`]/.test(text)) return undefined
  let at = 0
  let budget = 4 * MAX_WORDS
  // A sequence runs to the comma or brace that ends it.
  const sequence = (): string[] | undefined => {
    let words = ['']
    while (at < text.length) {
      const char = text[at] ?? ''
      if (char === ',' || char === '}') return words
      let choices: string[] | undefined
      if (char === '{') choices = group()
      else {
        choices = [char]
        at++
      }
      budget -= choices?.length ?? 0
      if (!choices || budget < 0) return undefined
      const [single] = choices
      if (choices.length === 1 && words.length === 1 && single !== undefined) words = [words[0] + single]
      else words = words.flatMap((word) => choices.map((choice) => word + choice))
      if (words.length > MAX_WORDS) return undefined
    }
    return undefined
  }
  const group = (): string[] | undefined => {
    const choices: string[] = []
    let commas = 0
    do {
      at++
      const words = sequence()
      if (!words) return undefined
      choices.push(...words)
      if (text[at] === ',') commas++
    } while (text[at] === ',')
    at++
    return commas > 0 ? choices : undefined
  }
  const words = text.length > 1024 ? undefined : group()
  return words && at === text.length ? words : undefined
}
