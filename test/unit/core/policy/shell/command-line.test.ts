import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { commandFits } from '../../../../../lib/core/policy/shell/command-fit.ts'
import { type CommandLine, MAX_LINE, readCommandLine } from '../../../../../lib/core/policy/shell/command-line.ts'
import { parseCommandSpec } from '../../../../../lib/core/policy/shell/command-spec.ts'
import { ANY, GLOB, textOf, type Word } from '../../../../../lib/core/policy/shell/word.ts'

interface Read {
  line: string
  runs: string[]
  unread?: number
}

const vectors: Read[] = parse(readFileSync(new URL('../../../../vectors/shell/commands.yaml', import.meta.url), 'utf8'))

const shown = ({ pieces, many }: Word): string =>
  pieces.map((piece) => (piece === ANY ? '‹any›' : piece === GLOB ? '‹glob›' : String(piece))).join('') +
  (many ? '…' : '')

/** `sudo → bash -c: rm -rf x > out < in [X]`. */
const inWords = ({ commands }: CommandLine): string[] =>
  commands.map(({ name, words, via, writes, reads, assigns }) =>
    [
      ...(via.length > 0 ? [`${via.join(' → ')}:`] : []),
      ...(name === '' ? [] : [name]),
      ...words.map(shown),
      ...writes.map((word) => `> ${shown(word)}`),
      ...reads.map((word) => `< ${shown(word)}`),
      ...(assigns.length > 0 ? [`[${assigns}]`] : []),
    ].join(' '),
  )

describe('reads', () => {
  it.each(vectors)('$line', ({ line, runs, unread = 0 }) => {
    const read = readCommandLine(line)
    expect(inWords(read)).toEqual(runs)
    expect(read.unreadable).toHaveLength(unread)
  })
})

const SPEC = parseCommandSpec({ runs: ['rm', 'git push'], with: 'force', args: '*a*', writes: 'b*' })
if (typeof SPEC === 'string') throw new Error(SPEC)

/** Pieces that mean something to a shell, so that they meet in all ways. */
const FRAGMENTS =
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is shell
  "rm|-rf|git|push|sudo|bash|-c|x|$X|${X}|${X:-|}|$(|)|`|'|\"|\\|\n| |;|&|&&||||>|<|<<E\n|E\n|<<<|(|{ | }|((|))|[[ | ]]|if | then |fi|for i in |do |done|case x in |esac|function f |*|?|[|]|{a,b}|$'|\\x72|=|X=rm|#|!|~|eval|xargs|find|-exec|;|env|-S|\r|\0|é"
    .split('|')
    .map((each) => (each === '' ? '|' : each))

describe('whatever the text', () => {
  it('never throws, and what cannot be parsed is unreadable', () => {
    const line = fc.array(fc.constantFrom(...FRAGMENTS), { maxLength: 40 }).map((parts) => parts.join(''))
    fc.assert(
      fc.property(fc.oneof(line, fc.string({ unit: 'binary', maxLength: 60 })), (text) => {
        const read = readCommandLine(text)
        const strict = commandFits(read, SPEC, 'strict')
        if (read.unreadable.length > 0) {
          expect(strict).toBeDefined()
          expect(commandFits(read, SPEC, 'narrow')).toBeUndefined()
        }
        // What an allowing rule takes for certain, a denying one sees as well.
        if (read.commands.some(({ name }) => name !== '') && commandFits(read, SPEC, 'narrow'))
          expect(strict).toBeDefined()
      }),
      { numRuns: 300 },
    )
  })

  it('quotes any word any way to the same word', () => {
    const styles = [
      (char: string) => `'${char}'`,
      (char: string) => `"${char}"`,
      (char: string) => (/[A-Za-z0-9_]/.test(char) ? `\\${char}` : `'${char}'`),
      (char: string) => `$'\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}'`,
      (char: string) => `$'\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}'`,
      (char: string) => `${char}''`,
      (char: string) => `\\\n${char}`,
    ]
    const word = fc.stringMatching(/^[A-Za-z0-9_./:@%+-]{1,12}$/).filter((text) => !/^[-+.]*$/.test(text))
    fc.assert(
      fc.property(
        word,
        fc.array(fc.nat({ max: styles.length - 1 }), { minLength: 12, maxLength: 12 }),
        (text, picks) => {
          const quoted = [...text].map((char, at) => styles[picks[at] ?? 0]?.(char) ?? char).join('')
          const [command] = readCommandLine(`echo ${quoted}`).commands
          expect(command?.words.map(textOf)).toEqual([text])
        },
      ),
      { numRuns: 500 },
    )
  })

  it('reads the same commands behind any padding', () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 2000 }),
        fc.constantFrom(' ', '\t', '\n', ':;\n', 'ls;', '# x\n', "''\n"),
        (times, pad) => {
          const read = readCommandLine(`${pad.repeat(times)} rm -rf x`)
          expect(read.commands.at(-1)?.name).toBe('rm')
        },
      ),
      { numRuns: 60 },
    )
  })

  it.each(
    [
      '$(',
      '`',
      '"$(',
      '(',
      '{ ',
      '${x:-',
      '$((',
      '<(',
      '{a,',
      'a;',
      'a|',
      '$',
      "bash -c '",
      'sudo ',
      'xargs ',
      'eval "',
      '((',
      '[[ ',
      'coproc ',
      '>a ',
      '<<a ',
      'X=$X;',
      'if a; then ',
      "$'",
      'case x in a) ',
      '* ',
      '{a,b}{a,b}',
      '! ',
      'time ',
      'find -exec ',
    ].map((piece) => ({ piece })),
  )('reads no more of a long row of $piece than its length allows', ({ piece }) => {
    const read = (length: number) => {
      const line = readCommandLine(piece.repeat(Math.ceil(length / piece.length)).slice(0, length))
      const words = line.commands.reduce((sum, { words: all, via }) => sum + all.length + via.length + 1, 0)
      return { line, words }
    }
    // Steps are counted by what they leave behind: there is no clock here.
    expect(read(8000).words).toBeLessThanOrEqual(20 * 8000)
    expect(read(MAX_LINE).words).toBeLessThanOrEqual(20 * MAX_LINE)
    expect(read(8000).line.unreadable.length).toBeLessThanOrEqual(32)
  })

  it('does not read a line that nobody would', () => {
    expect(readCommandLine('a'.repeat(MAX_LINE + 1))).toEqual({ commands: [], unreadable: ['it is too long'] })
  })

  it('stops at texts nested too deep', () => {
    let text = 'rm -rf x'
    for (let level = 0; level < 10; level++) text = `eval ${JSON.stringify(text).replaceAll('$', '\\$')}`
    const read = readCommandLine(text)
    expect(read.unreadable).toContain('it is nested too deep or too long')
  })
})

describe('a reason', () => {
  const reason = (line: string, value: unknown) => {
    const spec = parseCommandSpec(value)
    return typeof spec === 'string' ? spec : commandFits(readCommandLine(line), spec, 'strict')
  }
  it.each([
    ['rm -rf x', { runs: 'rm', with: 'recursive' }, 'runs rm with recursive'],
    ["sudo bash -c 'rm -rf x'", { runs: 'rm', with: 'recursive' }, 'runs rm with recursive (via sudo → bash -c)'],
    ['rm $X', { runs: 'rm', with: 'recursive' }, 'may run rm with recursive'],
    ['git push -f', { runs: ['git send-pack', 'git push'], with: 'force' }, 'runs git push with force'],
    ['cat .env', { args: '.env' }, 'runs a program on .env'],
    ['ls > f', { writes: 'f' }, 'runs a program writing f'],
    ['eval "$X"', { runs: 'rm' }, 'cannot be read, so it counts: eval runs a text that is not wholly known'],
    ['eval "$X"', { readable: false }, 'cannot be read: eval runs a text that is not wholly known'],
  ])('%j %j', (line, spec, expected) => {
    expect(reason(line, spec)).toBe(expected)
  })
})

describe('a condition is refused', () => {
  it.each<[unknown, string]>([
    ['rm', 'command is a mapping of runs, with, without, args, writes, via, readable'],
    [{}, 'command is empty: say runs, with, without, args, writes, via, readable'],
    [{ run: 'rm' }, 'command has no "run": it knows runs, with, without, args, writes, via, readable'],
    [{ runs: '' }, 'runs is a text or a list of texts that are not empty'],
    [{ runs: [] }, 'runs is a text or a list of texts that are not empty'],
    [{ runs: [1] }, 'runs is a text or a list of texts that are not empty'],
    [{ runs: 'r?' }, 'runs: "?" has no meaning in a glob: * alone has, and lists say the rest'],
    [{ readable: 'no' }, 'readable is true or false'],
    [{ readable: false, runs: 'rm' }, 'readable: false stands alone: of what cannot be read no more is known'],
  ])('%j', (value, fault) => {
    expect(parseCommandSpec(value)).toBe(fault)
  })

  it('for an option that nobody knows', () => {
    expect(parseCommandSpec({ with: 'recursivly' })).toMatch(/^with: "recursivly" is no option: spell it/)
    expect(parseCommandSpec({ with: ['-f', '--force', '-delete', 'force'] })).toMatchObject({ with: { length: 4 } })
  })
})
