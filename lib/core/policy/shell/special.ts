import { git } from './git.ts'
import { grammar, scanOptions } from './grammar.ts'
import { type Look, takesCommand } from './look.ts'
import { joined, lastValue, type Running } from './run.ts'
import { awkRuns, makeRuns, sedRuns } from './scripts.ts'
import { ANY, ANY_WORDS, dropHead, headOf, literal, type Piece, textOf, type Word } from './word.ts'

const XARGS = grammar(
  '0rtpxo | IiLlnPsdEeaJRS | null no-run-if-empty verbose interactive exit open-tty show-limits replace max-lines eof | max-args max-procs max-chars delimiter arg-file process-slot-var',
)
const SSH = grammar('46AaCfGgKkMNnqsTtVvXxYy | BbcDEeFIiJLlmOoPpQRSWw')
const PARALLEL = grammar(
  'kuqvXmtN0 | jnsIaSdiLPC | keep-order ungroup bar dry-run will-cite progress eta verbose line-buffer lb tag xargs null no-run-if-empty pipe quote halt-on-error | jobs max-args delay timeout retries joblog halt colsep results arg-file delimiter load tmpdir sshlogin workdir',
)
const SU = grammar(
  'lmpPf | cgGsw | login preserve-environment pty fast | command session-command group shell supp-group',
)

/** The words after xargs: those of the program, then what is read. */
const xargs: Look = ({ reader, words, run }) => {
  // `-i`, `-l` and `-e` take their value without a space or not at all.
  const fixed = words.map((word) => (/^-[ile]$/.test(textOf(word) ?? '') ? literal('-r') : word))
  const scan = scanOptions(fixed, XARGS)
  if (typeof scan === 'string') {
    reader.refuse(`what xargs runs: ${scan}`)
    return true
  }
  const given = (name: string) => scan.options.some((option) => option.name === name)
  const plain = words.some((word) => textOf(word) === '-i') || given('-i') || given('--replace')
  const value = lastValue(scan.options, '-I', '-J', '-i', '--replace')
  const mark = value ? textOf(value) : plain ? '{}' : undefined
  if (value && mark === undefined) reader.refuse('what xargs puts in is not known')
  const inner = words.slice(scan.rest)
  if (inner.length === 0) return true
  reader.run({
    words: mark ? inner.map((word) => filled(word, mark, ANY)) : [...inner, ANY_WORDS],
    via: [...run.via, 'xargs'],
    input: 'unknown',
    depth: run.depth + 1,
  })
  return true
}

function filled(word: Word, mark: string, filling: Piece): Word {
  const pieces = word.pieces.flatMap((piece): Piece[] =>
    typeof piece === 'string' && mark !== ''
      ? piece.split(mark).flatMap((part, at) => (at === 0 ? [part] : [filling, part]))
      : [piece],
  )
  return { ...word, pieces: pieces.filter((piece) => piece !== '') }
}

/** `find … -exec rm {} +`: what stands for `{}` is never an option, as find puts the folder before it. */
const find: Look = ({ reader, words, run }) => {
  const found = foundBy(words)
  for (let at = 0; at < words.length; at++) {
    const word = words[at]
    if (!word) break
    const text = textOf(word)
    if (word.many && headOf(word) === '') reader.refuse('what find runs is not known')
    if (text === undefined || !/^-(?:exec|execdir|ok|okdir)$/.test(text)) continue
    let end = at + 1
    while (end < words.length && !isEnd(words, end)) end++
    const inner = words.slice(at + 1, end)
    reader.run({
      words: inner.map((each, number) => (textOf(each) === '{}' && number > 0 ? found : filled(each, '{}', ANY))),
      via: [...run.via, `find ${text}`],
      input: 'none',
      depth: run.depth + 1,
    })
    at = end
  }
  return true
}

const isEnd = (words: readonly Word[], at: number): boolean => {
  const text = textOf(words[at] ?? ANY_WORDS)
  return text === ';' || (text === '+' && textOf(words[at - 1] ?? ANY_WORDS) === '{}')
}

/** The pattern that names what is found, where the expression has a single one and nothing else to choose by. */
function foundBy(words: readonly Word[]): Word {
  const texts = words.map((word) => textOf(word) ?? '')
  const names = texts.flatMap((text, at) => (text === '-name' || text === '-iname' ? [words[at + 1]] : []))
  const [name] = names
  if (!name || names.length > 1 || texts.some((text) => /^(?:-o|-or|!|-not|,|\()$/.test(text)))
    return { pieces: [ANY], many: false, operand: true }
  const pieces = name.pieces.flatMap((piece): Piece[] =>
    typeof piece === 'string' ? piece.split(/([*?]|\[.*?\])/).map((part, at) => (at % 2 === 0 ? part : ANY)) : [ANY],
  )
  return { pieces: pieces.filter((piece) => piece !== ''), many: false, operand: true }
}

const ssh: Look = ({ reader, words, run, name }) => {
  const scan = scanOptions(words, SSH)
  if (typeof scan === 'string') {
    reader.refuse(`what ${name} runs: ${scan}`)
    return true
  }
  const options = scan.options.flatMap(({ name: option, value }) => (option === '-o' && value ? [value] : []))
  if (options.some((value) => textOf(value) === undefined || /command/i.test(textOf(value) ?? '')))
    reader.refuse(`${name} has an option that runs a command`)
  const [host, ...rest] = words.slice(scan.rest)
  if (!host || host.many) reader.refuse(`what ${name} runs is not known`)
  // Options may come after the host as well.
  const again = scanOptions(rest, SSH)
  if (typeof again === 'string') reader.refuse(`what ${name} runs: ${again}`)
  const inner = typeof again === 'string' ? rest : rest.slice(again.rest)
  const via = [...run.via, name]
  if (inner.length > 0) reader.readText(joined(inner), via, run.depth + 1, run.input)
  else if (host && !scan.options.some(({ name: option }) => /^-[NVGQWLRDO]$/.test(option)))
    reader.run({ words: [literal('sh')], via, input: run.input, depth: run.depth + 1 })
  return true
}

const parallel: Look = ({ reader, words, run }) => {
  const scan = scanOptions(words, PARALLEL)
  if (typeof scan === 'string') {
    reader.refuse(`what parallel runs: ${scan}`)
    return true
  }
  const rest = words.slice(scan.rest)
  const end = rest.findIndex((word) => /^:::?:?\+?$/.test(textOf(word) ?? ''))
  const inner = end < 0 ? rest : rest.slice(0, end)
  if (inner.length === 0) reader.refuse('parallel runs what it reads from its input')
  else {
    const text = joined(inner.map((word) => filled(word, '{}', ANY)))
    reader.readText({ pieces: [...text.pieces, ' ', ANY], many: false }, [...run.via, 'parallel'], run.depth + 1)
  }
  return true
}

const su: Look = ({ reader, words, run, name }) => {
  const texts: Word[] = []
  const operands: Word[] = []
  // su takes options after the user too.
  for (let at = 0; at < words.length && operands.length < 4; at++) {
    const scan = scanOptions(words, SU, at)
    if (typeof scan === 'string') {
      reader.refuse(`what ${name} runs: ${scan}`)
      return true
    }
    for (const { name: option, value } of scan.options)
      if (value && /^-(?:c|-command|-session-command)$/.test(option)) texts.push(value)
    at = scan.rest
    const word = words[at]
    if (word && textOf(word) !== '-') operands.push(word)
  }
  const via = [...run.via, name]
  for (const text of texts) reader.readText(text, via, run.depth + 1, run.input)
  if (texts.length === 0)
    reader.run({ words: [literal('sh'), ...operands.slice(1)], via, input: run.input, depth: run.depth + 1 })
  return true
}

/** The words are one text for this shell. */
const evaluates: Look = ({ reader, words, run, name }) => {
  const inner = textOf(words[0] ?? ANY_WORDS) === '--' ? words.slice(1) : words
  if (inner.length > 0) reader.readText(joined(inner), [...run.via, name], run.depth + 1, run.input)
  return true
}

const trap: Look = ({ reader, words, run }) => {
  const inner = words.filter((word) => textOf(word) !== '--')
  const [text] = inner
  if (!text || inner.length < 2 || /^-[lpP]?$/.test(textOf(text) ?? '')) return true
  reader.readText(text, [...run.via, 'trap'], run.depth + 1)
  return true
}

/** Refuses unless the words show that nothing is run. */
const refuses =
  (reason: string, when: (texts: readonly (string | undefined)[], running: Running) => boolean): Look =>
  (running) => {
    if (when(running.words.map(textOf), running)) running.reader.refuse(`${running.name} ${reason}`)
    return false
  }

const always = () => true
const has =
  (pattern: RegExp) =>
  (_: readonly (string | undefined)[], { words }: Running) =>
    words.some((word) => pattern.test(headOf(word)) || (word.many && headOf(word) === ''))

/** rsync adds the host to what `-e` names. */
const rsync: Look = ({ reader, words }) => {
  for (const [at, word] of words.entries()) {
    const found = /^(?:-[A-Za-z]*e|--rsh=?|--rsync-path=?)/.exec(headOf(word))
    if (!found) continue
    const rest = dropHead(word, found[0].length)
    const value = rest.pieces.length > 0 ? rest : words[at + 1]
    if (value && !PLAIN_SSH.test(textOf(value) ?? '')) reader.refuse('rsync runs a program that is one of its words')
  }
  return false
}

const PLAIN_SSH = /^(?:\S*\/)?ssh(?:\s+-(?:[46CqTaxn]+|[piloFc]\s*\S+))*\s*$/

/** By name, or name and subcommand. */
export const SPECIAL: ReadonlyMap<string, Look> = new Map<string, Look>([
  ['xargs', xargs],
  ['gxargs', xargs],
  ['find', find],
  ['gfind', find],
  ['ssh', ssh],
  ['autossh', ssh],
  ['parallel', parallel],
  ['su', su],
  ['eval', evaluates],
  ['trap', trap],
  ['git', git],
  [
    'alias',
    refuses('gives a word another meaning', (texts) => texts.some((text) => text === undefined || text.includes('='))),
  ],
  ['.', refuses('runs a file in this shell', always)],
  ['source', refuses('runs a file in this shell', always)],
  ['hash', refuses('gives a word another meaning', has(/^-[a-z]*p/))],
  ['enable', refuses('gives a word another meaning', always)],
  ['bind', refuses('runs a command later', has(/^-[a-z]*x/))],
  ['complete', refuses('runs a command later', has(/^-[A-Za-z]*[CF]/))],
  ['compgen', refuses('runs a command', has(/^-[A-Za-z]*[CFW]/))],
  ['mapfile', refuses('runs a command', has(/^-[A-Za-z]*C/))],
  ['readarray', refuses('runs a command', has(/^-[A-Za-z]*C/))],
  ['fc', refuses('runs a command again', always)],
  ['crontab', refuses('runs commands later', (texts) => !texts.includes('-l'))],
  ['at', refuses('runs commands later', always)],
  ['batch', refuses('runs commands later', always)],
  ['ed', refuses('may run commands', always)],
  ['ex', refuses('may run commands', always)],
  ['vi', refuses('may run commands', has(/^(?:-c|\+|-S|-s|--cmd)/))],
  ['vim', refuses('may run commands', has(/^(?:-c|\+|-S|-s|--cmd)/))],
  ['nvim', refuses('may run commands', has(/^(?:-c|\+|-S|-s|--cmd)/))],
  ['emacs', refuses('may run commands', has(/^-(?:-?eval|f|-?funcall|l|-?load|-?batch)/))],
  ['tmux', refuses('runs commands elsewhere', has(/^(?:new|send|run|split|respawn|pipe|if|source|set-hook|bind)/))],
  ['screen', refuses('runs commands elsewhere', has(/^-(?:X|S|d|D|m|c)/))],
  ['gdb', refuses('may run commands', has(/^-{1,2}(?:ex|eval|x|command|args|batch)/))],
  ['awk', refuses('runs code that may run programs', awkRuns)],
  ['gawk', refuses('runs code that may run programs', awkRuns)],
  ['mawk', refuses('runs code that may run programs', awkRuns)],
  ['nawk', refuses('runs code that may run programs', awkRuns)],
  ['sed', refuses('has a script that may run programs', sedRuns)],
  ['gsed', refuses('has a script that may run programs', sedRuns)],
  ['make', refuses('has an option that runs text', makeRuns)],
  [
    'tar',
    refuses(
      'has an option that runs a program',
      has(
        /^(?:--checkpoint-action|--to-command|--use-compress|--rsh-command|--info-script|--new-volume|-I|-F|--rmt-command)/,
      ),
    ),
  ],
  ['rsync', rsync],
  ['scp', refuses('has an option that runs a command', has(/^-S|^(?:-o)?\s*\w*command/i))],
  ['sftp', refuses('has an option that runs a command', has(/^-S|^(?:-o)?\s*\w*command/i))],
  ['zip', refuses('has an option that runs a command', has(/^-(?:TT|-unzip-command)/))],
  ['man', refuses('has an option that runs a command', has(/^-(?:P|H|-pager|-html)/))],
  ['sqlite3', refuses('has a command that runs a program', has(/^\.(?:sh|sy|op)|\n\s*\.(?:sh|sy)/))],
  ['psql', refuses('has a command that runs a program', has(/\\!|\\o\s*\||\\copy.*program|copy.*program/i))],
  ['mysql', refuses('has a command that runs a program', has(/\\!|^\s*system\s/i))],
  ['vagrant ssh', takesCommand(/^(?:-c|--command=?)/)],
  ['gcloud compute ssh', takesCommand(/^--command=?/)],
  ['nix-shell', takesCommand(/^--(?:run|command)$/)],
  ['nix shell', takesCommand(/^(?:-c|--command)$/)],
  ['wsl', refuses('runs a command elsewhere', (texts) => texts.length > 0)],
  ['iex', refuses('runs a language that is not read', always)],
  ['invoke-expression', refuses('runs a language that is not read', always)],
  ['start-process', refuses('runs a language that is not read', always)],
  ['wmic', refuses('runs a language that is not read', always)],
])
