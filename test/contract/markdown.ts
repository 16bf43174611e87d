import { posix } from 'node:path'

/** What stands in fences of this language. */
export const codeBlocks = (text: string, language: string): string[] =>
  [...text.matchAll(/^```(\S*)\n([\s\S]*?)^```$/gm)].flatMap(([, name, block = '']) =>
    name === language ? [block] : [],
  )

const withoutCode = (text: string): string => text.replaceAll(/^```[\s\S]*?^```$/gm, '')

/** The cells of every row of every table, heads and rules left out. */
export function tableRows(text: string): string[][] {
  const lines = withoutCode(text).split('\n')
  return lines.flatMap((line, at) => {
    const isHead = /^\|[\s|:-]+\|$/.test(lines[at + 1] ?? '')
    if (!line.startsWith('|') || isHead || /^\|[\s|:-]+\|$/.test(line)) return []
    return [
      line
        .slice(1, -1)
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim()),
    ]
  })
}

/** The names by which a page's headings are linked to, as GitHub makes them. */
export function anchors(text: string): Set<string> {
  const found = new Set<string>()
  for (const [, heading = ''] of withoutCode(text).matchAll(/^#{1,6} (.+)$/gm)) {
    const plain = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase()
    const anchor = plain.replaceAll(/[^\p{L}\p{N}\s_-]/gu, '').replaceAll(/\s/g, '-')
    let unused = anchor
    for (let count = 1; found.has(unused); count++) unused = `${anchor}-${count}`
    found.add(unused)
  }
  return found
}

/** The relative links of a page whose file, or whose heading in it, is not there. `textOf` is undefined for what does not exist. */
export function brokenLinks(page: string, text: string, textOf: (path: string) => string | undefined): string[] {
  const targets = [...withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target)
  return targets.filter((target) => {
    if (/^[a-z]+:/.test(target)) return false
    const [file = '', anchor] = target.split('#')
    const path = file === '' ? page : posix.join(posix.dirname(page), file)
    const content = textOf(path)
    return content === undefined || (anchor !== undefined && !anchors(content).has(anchor))
  })
}
