const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/g
const OPENING = new Set(['{', '['])
const CLOSING = new Set(['}', ']'])

/**
 * JSON text as indented lines, without reading its values: a number of twenty digits and a repeated key stay what they
 * were. Text that is no JSON comes back as one line.
 */
export function jsonLines(json: string): string[] {
  try {
    JSON.parse(json)
  } catch {
    return [json]
  }
  const words = json.match(TOKEN) ?? []
  const lines: string[] = []
  let line = ''
  let depth = 0
  const newline = () => {
    lines.push(line)
    line = '  '.repeat(depth)
  }
  for (const [index, word] of words.entries()) {
    if (CLOSING.has(word)) {
      depth--
      if (!OPENING.has(words[index - 1] ?? '')) newline()
    }
    line += word === ':' ? ': ' : word
    if (OPENING.has(word)) {
      depth++
      if (!CLOSING.has(words[index + 1] ?? '')) newline()
    } else if (word === ',') newline()
  }
  return [...lines, line]
}
