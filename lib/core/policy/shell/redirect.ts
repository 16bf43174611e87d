import type { Redirection, SyntaxNode } from 'unbash'
import type { Constants } from './constants.ts'
import { expand, expandWhole } from './expansion.ts'
import { ANY, literal, textOf, type Word } from './word.ts'

/** What a program finds on its standard input: nothing of note, something that cannot be read, or this text. */
export type Input = 'none' | 'unknown' | Word

/** What a program is known to print: `echo` and `printf` with plain words, `cat` of a here-document. */
export function outputOf(node: SyntaxNode, constants: Constants): Input {
  if (node.type !== 'Command' || !node.name) return 'unknown'
  const words = [node.name, ...node.suffix.flatMap((part) => (part.type === 'Word' ? [part] : []))]
  const texts = words.flatMap((word) => expand(word, constants)).map(textOf)
  if (texts.includes(undefined) || words.length !== 1 + node.suffix.length - node.redirects.length) return 'unknown'
  const [name, ...rest] = texts
  if (name === 'cat' && rest.length === 0) return redirectsOf(node.redirects, constants, 'none').input
  if (node.redirects.length > 0 || rest.some((text) => text?.includes('\\'))) return 'unknown'
  if (name === 'echo') return literal(`${(rest[0] === '-n' ? rest.slice(1) : rest).join(' ')}\n`)
  if (name === 'printf' && rest.length === 1 && !rest[0]?.includes('%')) return literal(rest[0] ?? '')
  if (name === 'printf' && rest.length === 2 && rest[0] === '%s') return literal(rest[1] ?? '')
  return 'unknown'
}

/** What redirections open, and what the program then finds on its standard input. */
export function redirectsOf(
  redirects: readonly Redirection[],
  constants: Constants,
  inherited: Input,
): { input: Input; writes: Word[]; reads: Word[] } {
  const writes: Word[] = []
  const reads: Word[] = []
  let input = inherited
  for (const redirect of redirects) {
    const descriptor = redirect.descriptor?.type === 'FileDescriptor' ? redirect.descriptor.value : undefined
    if (redirect.type === 'HereDoc') {
      const { text, parts } = redirect.body
      const body = parts ? expandWhole(parts, constants) : literal(redirect.delimiter?.quoted ? text : bare(text))
      const tabs = redirect.operator === '<<-'
      input = tabs
        ? {
            ...body,
            pieces: body.pieces.map((piece) => (typeof piece === 'string' ? piece.replace(/^\t+/gm, '') : piece)),
          }
        : body
      continue
    }
    const [target = { pieces: [ANY], many: false }] = redirect.target ? expand(redirect.target, constants) : []
    if (redirect.type === 'HereString') {
      input = redirect.target?.parts ? expandWhole(redirect.target.parts, constants) : target
      continue
    }
    const text = textOf(target)
    const { operator } = redirect
    if ((operator === '<&' || operator === '>&') && text !== undefined && /^(?:\d+-?|-)$/.test(text)) {
      if (operator === '<&' && (descriptor ?? 0) === 0) input = 'unknown'
      continue
    }
    if (operator === '<' || operator === '<&' || operator === '<>') {
      reads.push(target)
      if ((descriptor ?? 0) === 0) input = text === '/dev/null' ? 'none' : 'unknown'
    }
    if (operator !== '<' && operator !== '<&') writes.push(target)
  }
  return { input, writes, reads }
}

/** In a here-document, a backslash quotes these alone. */
const bare = (text: string): string => text.replace(/\\(?:([$`\\])|\n)/g, '$1')
