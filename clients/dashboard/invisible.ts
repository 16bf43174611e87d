/**
 * Characters that draw nothing, or change how others are drawn: controls, bidirectional marks, zero-width and tag
 * characters, lone surrogates. Not the two that choose between text and emoji.
 */
const INVISIBLE = /(?!\ufe0e|\ufe0f)[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu
/** Layout, not disguise. */
const LAYOUT = new Set(['\n', '\t'])

/** As JSON and most languages write it. */
const escapeOf = (character: string): string => {
  const code = character.codePointAt(0) ?? 0
  return code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, '0')}`
}

export interface Piece {
  text: string
  /** True for an escape that stands for a character nobody would see. */
  escaped: boolean
}

/** Cuts text so that nothing in it stays invisible. */
export function piecesOf(text: string): Piece[] {
  const pieces: Piece[] = []
  let end = 0
  for (const match of text.matchAll(INVISIBLE)) {
    if (LAYOUT.has(match[0])) continue
    if (match.index > end) pieces.push({ text: text.slice(end, match.index), escaped: false })
    pieces.push({ text: escapeOf(match[0]), escaped: true })
    end = match.index + match[0].length
  }
  if (end < text.length) pieces.push({ text: text.slice(end), escaped: false })
  return pieces
}

/** Text without its disguise, for places that take no elements. */
export const plainText = (text: string): string =>
  piecesOf(text)
    .map((piece) => piece.text)
    .join('')
