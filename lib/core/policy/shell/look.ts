import type { Running } from './run.ts'
import { headOf, textOf } from './word.ts'

/** Looks into one program; true when there is no more to look for. */
export type Look = (running: Running) => boolean

/** Options of these programs whose value is a command for a shell. */
export const takesCommand =
  (names: RegExp): Look =>
  ({ reader, words, run, name }) => {
    for (const [at, word] of words.entries()) {
      const head = headOf(word)
      const found = names.exec(head)
      if (!found) continue
      const attached = head.length > found[0].length || (textOf(word) === undefined && word.pieces.length > 1)
      const value = attached
        ? { ...word, pieces: [head.slice(found[0].length), ...word.pieces.slice(1)] }
        : words[at + 1]
      if (value) reader.readText(value, [...run.via, name], run.depth + 1)
    }
    return false
  }
