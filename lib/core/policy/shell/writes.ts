import type { Command } from './command-line.ts'
import { type Grammar, grammar, scanOptions } from './grammar.ts'
import { operandsOf, tableName } from './options.ts'
import { dropHead, headOf, textOf, type Word } from './word.ts'

/** Programs that write every file they are given. */
const WRITE_ALL = new Set('tee touch truncate shred mkdir unlink'.split(' '))
/** Programs that write the last file they are given, or the folder that `-t` names. */
const WRITE_LAST: ReadonlyMap<string, Grammar> = new Map([
  ['cp', grammar('abdfiHlLnPprRsTuvxZ | St | * | target-directory suffix')],
  ['mv', grammar('bfinTuvZ | St | * | target-directory suffix')],
  ['ln', grammar('bdfFiLnPrsTv | St | * | target-directory suffix')],
  ['install', grammar('bcCDdpsTvZ | gmoSt | * | target-directory suffix group mode owner')],
  ['rsync', grammar('')],
  ['scp', grammar('')],
])
const OUTPUT: ReadonlyMap<string, RegExp> = new Map([
  ['curl', /^(?:-[A-Za-z]*o|--output(?:=|$))/],
  ['wget', /^(?:-[A-Za-z]*O|--output-document(?:=|$))/],
  ['sort', /^(?:-[A-Za-z]*o|--output(?:=|$))/],
  ['dd', /^of=/],
])

/** The files that a well-known program writes because of its words. */
export function writtenBy(command: Command): readonly Word[] {
  const name = tableName(command)
  const { words } = command
  if (WRITE_ALL.has(name)) return operandsOf(words, undefined).map(({ word }) => word)
  const options = WRITE_LAST.get(name)
  if (options) {
    const scan = scanOptions(words, options)
    const target =
      typeof scan === 'string'
        ? undefined
        : scan.options.find(({ name: option }) => option === '-t' || option === '--target-directory')?.value
    const last = operandsOf(words, options).at(-1)?.word
    return [...(target ? [target] : []), ...(last ? [last] : [])]
  }
  const output = OUTPUT.get(name)
  if (output)
    return words.flatMap((word, at) => {
      const found = output.exec(headOf(word))
      if (!found) return []
      const next = words[at + 1]
      return textOf(word) === found[0] && !found[0].endsWith('=')
        ? next
          ? [next]
          : []
        : [dropHead(word, found[0].length)]
    })
  if ((name === 'sed' || name === 'perl') && words.some((word) => /^-(?:[A-Za-z]*i|-in-place)/.test(headOf(word))))
    return operandsOf(words, undefined).map(({ word }) => word)
  return []
}
