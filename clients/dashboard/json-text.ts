export type TokenKind = 'mark' | 'key' | 'text' | 'value' | 'escape' | 'break' | 'space'

/** A piece of indented JSON. `break` is a line break inside a string, right after its escape. */
export interface Token {
  kind: TokenKind
  text: string
}

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/g
const ESCAPE = /\\(?:u[0-9a-fA-F]{4}|.)/g
const OPENING = new Set(['{', '['])
const CLOSING = new Set(['}', ']'])

/**
 * Indents JSON text without reading its values: a number of twenty digits and a repeated key stay what they were, which
 * they would not through JSON.parse. Undefined when the text is not JSON.
 */
export function indentJson(json: string): Token[] | undefined {
  try {
    JSON.parse(json)
  } catch {
    return undefined
  }
  const words = json.match(TOKEN) ?? []
  const tokens: Token[] = []
  let depth = 0
  const newline = () => tokens.push({ kind: 'space', text: `\n${'  '.repeat(depth)}` })

  for (const [index, word] of words.entries()) {
    const next = words[index + 1] ?? ''
    const before = words[index - 1] ?? ''
    if (OPENING.has(word)) {
      depth += 1
      tokens.push({ kind: 'mark', text: word })
      if (!CLOSING.has(next)) newline()
    } else if (CLOSING.has(word)) {
      depth -= 1
      if (!OPENING.has(before)) newline()
      tokens.push({ kind: 'mark', text: word })
    } else if (word === ',') {
      tokens.push({ kind: 'mark', text: word })
      newline()
    } else if (word === ':') {
      tokens.push({ kind: 'mark', text: ': ' })
    } else if (word.startsWith('"')) {
      tokens.push(...stringTokens(word, next === ':' ? 'key' : 'text'))
    } else {
      tokens.push({ kind: 'value', text: word })
    }
  }
  return tokens
}

/** Shows escapes apart from text, and the lines of a script as lines, with each break marked. */
function stringTokens(word: string, kind: 'key' | 'text'): Token[] {
  const tokens: Token[] = []
  let end = 0
  for (const { 0: code, index } of word.matchAll(ESCAPE)) {
    if (code === '\\"' || code === '\\\\') continue
    if (index > end) tokens.push({ kind, text: word.slice(end, index) })
    tokens.push({ kind: 'escape', text: code })
    end = index + code.length
    if (code === '\\n' && kind === 'text' && end < word.length - 1) tokens.push({ kind: 'break', text: '\n' })
  }
  if (end < word.length) tokens.push({ kind, text: word.slice(end) })
  return tokens
}
