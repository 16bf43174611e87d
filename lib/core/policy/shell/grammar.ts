import { dropHead, headOf, textOf, type Word } from './word.ts'

/** The options of a program, as far as they tell its words apart. */
export interface Grammar {
  /** Letters of options without a value. */
  flags: string
  /** Letters of options that take one. */
  values: string
  /** Names of long options without a value; one that ends in `*` covers all that begin so. */
  long: readonly string[]
  longValues: readonly string[]
}

const words = (text = ''): string[] => text.split(' ').filter((word) => word !== '')

/** `'flags | values | long flags | long values'`, the way the tables spell it. */
export function grammar(text: string): Grammar {
  const [flags = '', values = '', long, longValues] = text.split('|').map((part) => part.trim())
  return { flags, values, long: words(long), longValues: words(longValues) }
}

export interface Option {
  /** `-x` or `--name`, abbreviations written out. */
  name: string
  value: Word | undefined
}

export interface Scan {
  options: Option[]
  /** Where the first word that is no option stands. */
  rest: number
}

/**
 * Reads options up to the first other word, which is where programs that run another one stop too. Says why when an
 * option is not in the grammar: the word after it could be its value or the program.
 */
export function scanOptions(
  list: readonly Word[],
  { flags, values, long, longValues }: Grammar,
  from = 0,
): Scan | string {
  const options: Option[] = []
  let at = from
  for (; at < list.length; at++) {
    const word = list[at]
    if (!word) break
    const text = textOf(word)
    const head = headOf(word)
    if (text === undefined && (head === '' || (head === '-' && word.pieces.length > 1))) {
      if (word.operand) break
      return 'a word that is not known may be an option'
    }
    if (head === '--' && text !== undefined) return { options, rest: at + 1 }
    if (head === '-' || !head.startsWith('-')) break
    if (head.startsWith('--')) {
      const equals = head.indexOf('=')
      if (equals < 0 && text === undefined) return 'an option is not wholly known'
      const spelled = head.slice(2, equals < 0 ? undefined : equals)
      const name = named(spelled, [...long, ...longValues])
      if (name === undefined) return `its option --${clip(spelled)} is not known`
      if (equals >= 0) options.push({ name: `--${name}`, value: dropHead(word, equals + 1) })
      else if (longValues.includes(name)) options.push({ name: `--${name}`, value: list[++at] })
      else options.push({ name: `--${name}`, value: undefined })
      continue
    }
    for (let letter = 1; letter < head.length; letter++) {
      const char = head[letter] ?? ''
      if (values.includes(char)) {
        const attached = letter + 1 < head.length || text === undefined
        options.push({ name: `-${char}`, value: attached ? dropHead(word, letter + 1) : list[++at] })
        break
      }
      if (!flags.includes(char)) return `its option -${char} is not known`
      options.push({ name: `-${char}`, value: undefined })
      if (letter + 1 === head.length && text === undefined) return 'an option is not wholly known'
    }
  }
  return { options, rest: Math.min(at, list.length) }
}

function named(spelled: string, names: readonly string[]): string | undefined {
  if (names.includes(spelled)) return spelled
  const open = names.find((name) => name.endsWith('*') && spelled.startsWith(name.slice(0, -1)))
  if (open) return spelled
  const found = names.filter((name) => name.startsWith(spelled))
  return found.length === 1 ? found[0] : undefined
}

export const clip = (text: string): string => (text.length > 40 ? `${text.slice(0, 40)}…` : text)
