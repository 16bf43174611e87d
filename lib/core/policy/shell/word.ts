import { matchesGlob } from '../glob.ts'

/** A part of a word that only the shell knows when it runs: any text, also none. */
export const ANY = Symbol('any')
/** What a pattern of the shell stands for: part of a file's name, not the dot that a name begins with. */
export const GLOB = Symbol('glob')

export type Piece = string | typeof ANY | typeof GLOB

/** What the shell hands to a program as one word, with quotes removed and constants filled in. */
export interface Word {
  pieces: readonly Piece[]
  /** May become no word or several: an unquoted expansion, `"$@"`, what xargs adds. */
  many: boolean
  /** Never an option, however it begins: what find puts for `{}`. */
  operand?: true
}

export const literal = (text: string): Word => ({ pieces: [text], many: false })
/** Any number of any words. */
export const ANY_WORDS: Word = { pieces: [ANY], many: true }

/** The whole word, or undefined when a part of it is not known. */
export function textOf({ pieces, many }: Word): string | undefined {
  if (many) return undefined
  let text = ''
  for (const piece of pieces) {
    if (typeof piece !== 'string') return undefined
    text += piece
  }
  return text
}

/** The text up to the first part that is not known. */
export function headOf({ pieces }: Word): string {
  let text = ''
  for (const piece of pieces) {
    if (typeof piece !== 'string') break
    text += piece
  }
  return text
}

/** True when some of it is not known, and nothing of its last path segment, or of all of it where there is none. */
export const isUnknown = (word: Word): boolean =>
  textOf(word) === undefined && lastSegment(word.pieces).every((piece) => typeof piece !== 'string')

/** The pieces after the last `/` that can be seen. */
export function lastSegment(pieces: readonly Piece[]): readonly Piece[] {
  for (let at = pieces.length - 1; at >= 0; at--) {
    const piece = pieces[at]
    if (typeof piece !== 'string') continue
    const slash = piece.lastIndexOf('/')
    if (slash < 0) continue
    const tail = piece.slice(slash + 1)
    return tail === '' ? pieces.slice(at + 1) : [tail, ...pieces.slice(at + 1)]
  }
  return pieces
}

/** What comes after the first `length` characters, all of which must be known. */
export function dropHead(word: Word, length: number): Word {
  const pieces: Piece[] = []
  let left = length
  for (const piece of word.pieces) {
    if (left > 0 && typeof piece === 'string') {
      const kept = piece.slice(left)
      left -= piece.length - kept.length
      if (kept !== '') pieces.push(kept)
    } else pieces.push(piece)
  }
  return { pieces, many: word.many }
}

/** A longer word with unknown parts is taken to fit anything. */
const MAX_COMPARED = 4096

/** Whether some value of the word fits the glob, in which `*` is any text. */
export function couldFit(glob: string, pieces: readonly Piece[]): boolean {
  if (pieces.every((piece) => typeof piece === 'string')) return matchesGlob(glob, pieces.join(''))
  const tokens: Piece[] = []
  for (const piece of pieces) {
    if (typeof piece === 'string') {
      if (tokens.length + piece.length > MAX_COMPARED) return true
      tokens.push(...piece)
    } else tokens.push(piece)
  }
  return intersects([...glob], tokens)
}

/** Whether a glob and a word have a text in common, one row of the table of their suffixes at a time. */
function intersects(glob: readonly string[], word: readonly Piece[]): boolean {
  let below: boolean[] = []
  for (let at = glob.length; at >= 0; at--) {
    const row: boolean[] = new Array(word.length + 1).fill(false)
    const token = glob[at]
    for (let other = word.length; other >= 0; other--) {
      const piece = word[other]
      let fits: boolean
      if (token === undefined && piece === undefined) fits = true
      else if (token === '*' && (below[other] || (piece !== undefined && row[other + 1]))) fits = true
      else if (typeof piece === 'symbol')
        fits =
          row[other + 1] === true ||
          (token !== undefined && below[other] === true && (piece === ANY || fillable(glob, at, word, other)))
      else fits = token !== undefined && token === piece && below[other + 1] === true
      row[other] = fits
    }
    below = row
  }
  return below[0] === true
}

/** Whether the shell's own pattern may stand for this character: no `/`, and no `.` that begins a name. */
function fillable(glob: readonly string[], at: number, word: readonly Piece[], other: number): boolean {
  const token = glob[at]
  if (token === '/') return false
  if (token !== '.') return true
  const begins = other === 0 || word[other - 1] === '/'
  return !(begins && (at === 0 || glob[at - 1] === '/'))
}

/** A path with `.`, `..` and doubled slashes taken out, without a look at any disk. */
export function plainPath(path: string): string {
  if (!/(?:^|\/)\.{0,2}(?:\/|$)/.test(path)) return path
  const kept: string[] = []
  const rooted = path.startsWith('/')
  for (const segment of path.split('/')) {
    if (segment === '' || segment === '.') continue
    if (segment === '..' && kept.length > 0 && kept.at(-1) !== '..') kept.pop()
    else if (segment !== '..' || !rooted) kept.push(segment)
  }
  return (rooted ? '/' : '') + kept.join('/')
}
