import { grammar, scanOptions } from './grammar.ts'
import type { Running } from './run.ts'
import { headOf, isUnknown, textOf, type Word } from './word.ts'

const SHELLS = new Set('sh bash zsh dash ash ksh mksh rbash oksh yash'.split(' '))
/** Shells of another language: their text is not read. */
const OTHER_SHELLS = new Set('fish csh tcsh pwsh powershell cmd nu xonsh elvish rc'.split(' '))

const SHELL_OPTIONS = grammar(
  'abefhiklmnprstuvxBCDEHPTcI0123456789 | oO | login norc noprofile posix verbose version help restricted noediting debugger dump-strings dump-po-strings | rcfile init-file',
)

/** Options with which an interpreter runs code that is one of its words, as regular expressions on that word. */
const INTERPRETERS: readonly [name: RegExp, code: RegExp][] = [
  [/^(?:python|pypy)[\d.]*w?$/, /^-[A-Za-z]*c|^-m(?:timeit|pdb|code)?$/],
  [/^py$/, /^-[A-Za-z]*c/],
  [/^perl[\d.]*$/, /^-[A-Za-z0-9]*[eEMm]/],
  [/^ruby[\d.]*$/, /^-[A-Za-z0-9]*e/],
  [/^(?:node|nodejs|iojs)$/, /^-[a-z]*[ep]|^--(?:eval|print)|data:/],
  [/^(?:deno|bun)$/, /^(?:eval|-e|--eval|-p|--print)$|data:/],
  [/^(?:tsx|ts-node)$/, /^-[a-z]*[ep]|^--(?:eval|print)|data:/],
  [/^php[\d.]*$/, /^-[rBRE]|^--(?:run|process-)/],
  [/^lua(?:jit|[\d.]*)$/, /^-e/],
  [
    /^(?:osascript|R|rscript|r|julia|swift|groovy|scala|elixir|iex|erl|ghc|runghc|sbcl|racket|guile|clojure|clj)$/,
    /^-{1,2}(?:[a-z]*e|eval|l|run)|^-r$/,
  ],
  [/^(?:tclsh|wish|irb|ghci|jshell|ipython3?|bpython|gawk-shell|expect)$/, /^-c/],
]
/** What an interpreter may be given without a file: it tells about itself, or runs tests. */
const HARMLESS = /^(?:--?(?:version|help)|-[vVh]|--test.*|--check|-c|--run|--watch)$/

/** Shells, and programs that run code in another language. True when there is no more to look for. */
export function looksRun(running: Running): boolean {
  const { name, words, reader } = running
  if (SHELLS.has(name)) {
    shell(running)
    return true
  }
  if (OTHER_SHELLS.has(name)) {
    if (!isAbout(words)) reader.refuse(`${name} runs a language that is not read`)
    return true
  }
  const interpreter = INTERPRETERS.find(([pattern]) => pattern.test(name))
  if (!interpreter) return false
  interpret(running, interpreter[1])
  return true
}

const isAbout = (words: readonly Word[]): boolean =>
  words.length > 0 && words.every((word) => /^--?(?:version|help)$/i.test(textOf(word) ?? ''))

function shell({ reader, name, words, run }: Running) {
  if (isAbout(words)) return
  // `+x` turns an option off; as an option it tells its value apart in the same way. What is not known is taken for the
  // text or the file: as both it is refused.
  const signed = words.map((word): Word => {
    const head = headOf(word)
    if (/^\+[A-Za-z]/.test(head)) return { ...word, pieces: [`-${head.slice(1)}`, ...word.pieces.slice(1)] }
    return head === '' ? { ...word, operand: true } : word
  })
  const scan = scanOptions(signed, SHELL_OPTIONS)
  if (typeof scan === 'string') return reader.refuse(`what ${name} runs: ${scan}`)
  const given = new Set(scan.options.map((option) => option.name))
  const [text] = words.slice(scan.rest)
  if (given.has('--rcfile') || given.has('--init-file')) reader.refuse(`${name} runs a file before it begins`)
  if (given.has('-c')) {
    if (text) reader.readText(text, [...run.via, `${name} -c`], run.depth + 1, run.input)
    return
  }
  const file = text && textOf(text)
  if (!text || given.has('-s') || file === '-' || file === '/dev/stdin') {
    if (typeof run.input === 'object') return reader.readText(run.input, [...run.via, name], run.depth + 1)
    return reader.refuse(`${name} runs what it reads from its input`)
  }
  unseenFile(reader, name, text)
}

/** A script that is run by its name is not looked into, but one that has no name of its own cannot be. */
function unseenFile(reader: Running['reader'], name: string, file: Word) {
  if (file.many || /^\/(?:dev|proc)\//.test(headOf(file))) reader.refuse(`${name} runs a text that is not known`)
  else if (headOf(file) === '' && isUnknown(file)) reader.refuse(`${name} runs a file that is not known`)
}

/** Options of the interpreters whose value is the next word. */
const VALUED = /^-(?:[WXIrCLEd]|-(?:require|import|loader|experimental-loader|env-file|conditions|config|cwd))$/

function interpret({ reader, name, words }: Running, code: RegExp) {
  for (let at = 0; at < words.length; at++) {
    const word = words[at]
    if (!word) break
    const text = textOf(word)
    if (text === undefined && headOf(word) === '') return unseenFile(reader, name, { ...word, many: true })
    const head = headOf(word)
    if (code.test(head) && !(name.startsWith('py') && head === '-m' && !/^(?:timeit|pdb|code)/.test(next(words, at))))
      return reader.refuse(`${name} runs code that is one of its words`)
    if (head === '-') return reader.refuse(`${name} runs what it reads from its input`)
    if (!head.startsWith('-')) {
      if (head === 'run' || head === 'test' || head === 'task') {
        if (name === 'deno' || name === 'bun') continue
      }
      return unseenFile(reader, name, word)
    }
    if (head === '-m') return
    if (VALUED.test(head)) {
      if (/data:/.test(next(words, at))) return reader.refuse(`${name} runs code that is one of its words`)
      at++
    }
  }
  if (words.some((word) => HARMLESS.test(headOf(word)))) return
  if ((name === 'deno' || name === 'bun') && words.length > 0) return
  reader.refuse(`${name} runs what it reads from its input`)
}

const next = (words: readonly Word[], at: number): string => {
  const word = words[at + 1]
  return word ? headOf(word) : ''
}
