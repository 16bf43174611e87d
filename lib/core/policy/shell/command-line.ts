import { Reader } from './reader.ts'
import type { Word } from './word.ts'

/** One program with its words, wherever in the line it hides. */
export interface Command {
  /** The program without its folder; empty where only variables are set or files opened. */
  name: string
  /** The program as it is called, with its folder. */
  program: string
  /** What comes after the program's name. */
  words: readonly Word[]
  /** What runs it, outermost first: `sudo`, `bash -c`, `xargs`, `docker exec`. */
  via: readonly string[]
  /** Files that redirections write. */
  writes: readonly Word[]
  /** Files that redirections read. */
  reads: readonly Word[]
  /** Variables that are set for it, or by the shell itself. */
  assigns: readonly string[]
}

/** Everything that a line would run, as far as it can be read. */
export interface CommandLine {
  commands: readonly Command[]
  /** What cannot be read, in words for people; empty when all of it can. */
  unreadable: readonly string[]
}

/** A longer line is not read: nobody who is asked reads it either. */
export const MAX_LINE = 64 * 1024

/** What a substitution or a here-document begins with: each is read again for each that it lies in. */
const OPENERS = /[$<>][({]|<<|`/g
const MAX_OPENERS = 256

/**
 * Reads a line for sh, bash or zsh: every program that it would run, also inside substitutions, bodies, texts for other
 * shells and the words of programs that run others. Never throws; time is linear in the text.
 */
export function readCommandLine(text: string): CommandLine {
  const reader = new Reader()
  if (text.length > MAX_LINE || (text.match(OPENERS)?.length ?? 0) > MAX_OPENERS) reader.refuse('it is too long')
  else {
    if (hidesCharacters(text)) reader.refuse('it has characters that cannot be seen')
    reader.readText(text, [], 0)
  }
  return { commands: reader.commands, unreadable: [...reader.unreadable] }
}

/** Controls other than tab and newline, characters without a shape, spaces that are no space, halves of characters. */
const UNSEEN = [
  /\p{Cc}(?<![\t\n])/u,
  // Formats: of no width, or turning what follows; but a joiner between the parts of one picture is plain to see.
  /(?!\u200d)\p{Cf}|(?<![\p{Extended_Pictographic}\p{Emoji_Modifier}\p{Variation_Selector}])\u200d/u,
  /\p{Cs}|\p{Default_Ignorable_Code_Point}(?<![\p{Cf}\p{Variation_Selector}])|[\p{Zl}\p{Zp}]|(?! )\p{Zs}/u,
]

const hidesCharacters = (text: string): boolean => UNSEEN.some((pattern) => pattern.test(text))
