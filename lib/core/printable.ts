/**
 * What an agent or a person wrote, made inert for people to see: one line, no escape sequence, nothing invisible. Every
 * such character leaves a visible mark, because an approver must see that it is there; nothing is hidden.
 */
export const printable = (text: string): string => text.replace(NOT_PRINTABLE, markOf)

/**
 * Controls, format characters (bidi, zero width), lone surrogates, private use, line ends, blank letters, and what is
 * never drawn (tags, fillers); the two selectors that only choose how an emoji looks may stay.
 */
const NOT_PRINTABLE = /(?![\u{fe0e}\u{fe0f}])[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\p{DI}\u{a0}\u{2800}]/gu

function markOf(character: string): string {
  const code = character.codePointAt(0) ?? 0
  if (character === '\n') return '⏎'
  if (character === '\t') return ' '
  if (character === '\u00a0') return ' '
  if (code < 0x20) return String.fromCodePoint(0x2400 + code)
  if (code === 0x7f) return '␡'
  return `\\u{${code.toString(16)}}`
}

/** Each UTF-16 unit as the `\uXXXX` of JSON (RFC 8259, 7): the same text, and inert. */
export const unicodeEscapes = (text: string): string =>
  [...Array(text.length).keys()].map((at) => `\\u${text.charCodeAt(at).toString(16).padStart(4, '0')}`).join('')
