import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Command, readCommandLine } from '../../../lib/core/policy/shell/command-line.ts'
import { ANY, GLOB } from '../../../lib/core/policy/shell/word.ts'

/** Programs that write down how they were called, and do nothing else. */
const STUBS = ['c1', 'c2', 'c3', 'c4']
/** Programs that run others, as they are: all that they find to run are stubs. */
const REAL = ['bash', 'sh', 'env', 'xargs', 'nice', 'timeout', 'find', 'nohup', 'cat']

let folder = ''
const at = (name: string): string => join(folder, name)

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-shell-'))
  mkdirSync(at('bin'))
  mkdirSync(at('work'))
  for (const name of STUBS) {
    // One write each, so that programs of a pipe do not mix.
    writeFileSync(
      at(`bin/${name}`),
      `#!/bin/bash\nprintf -v call '%q ' ${name} "$@"\nprintf '%s\\n' "$call" >> "$CALLS"\n`,
    )
    chmodSync(at(`bin/${name}`), 0o755)
  }
  for (const name of REAL)
    symlinkSync(execFileSync('/bin/sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim(), at(`bin/${name}`))
})

afterAll(() => {
  if (folder !== '') rmSync(folder, { recursive: true, force: true })
})

/** What the stubs were called with, one line each, in the shell's own spelling. */
function called(shell: 'bash' | 'sh', line: string): string[] {
  writeFileSync(at('calls'), '')
  spawnSync(at(`bin/${shell}`), ['-c', line], {
    cwd: at('work'),
    env: { PATH: at('bin'), CALLS: at('calls') },
    stdio: ['ignore', 'ignore', 'ignore'],
    timeout: 10_000,
  })
  return readFileSync(at('calls'), 'utf8')
    .split('\n')
    .filter((call) => call !== '')
}

/** A pattern for the calls that a command that was read stands for. */
function patternOf({ name, words }: Command): RegExp {
  const parts = words.map(({ pieces, many }) =>
    many
      ? '(?: .*)?'
      : ` ${pieces.map((piece) => (piece === ANY || piece === GLOB ? '.*' : escaped(String(piece)))).join('') || "''"}`,
  )
  return new RegExp(`^${escaped(name)}${parts.join('')} ?$`, 's')
}

const escaped = (text: string): string => text.replace(/[^A-Za-z0-9_]/g, (char) => `\\\\?\\${char}`)

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: it is shell
const { line } = fc.letrec<{
  line: string
  list: string
  command: string
  simple: string
  word: string
  inner: string
}>((tie) => ({
  inner: fc.oneof({ maxDepth: 1 }, fc.constantFrom('c1 a', 'c2 b', 'c3'), tie('simple')),
  word: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.constantFrom(
      'a',
      'b',
      '-r',
      '-rf',
      '--x=y',
      "'q'",
      '"d"',
      "a'b'",
      'a"b"c',
      '\\a',
      'a\\b',
      "$'e'",
      "$'\\x66'",
      '{g,h}',
      'i{j,}',
      '$V',
      '"$V"',
      '${V}k',
      '$W',
      '"$@"',
      "''",
      'l=m',
      '$((1+2))',
      '+n',
      ':o',
    ),
    tie('inner').map((inner) => `$(${inner})`),
    tie('inner').map((inner) => `"$(${inner})"`),
    tie('inner').map((inner) => (/[`$'"\\]/.test(inner) ? 'p' : `\`${inner}\``)),
  ),
  simple: fc
    .tuple(
      fc.constantFrom('', '', 'V=x ', 'K=y '),
      fc.constantFrom(
        'c1',
        'c2',
        'c3',
        'c4',
        '\\c1',
        "'c2'",
        'c"3"',
        "$'c4'",
        '$C',
        '${C}',
        '{c1,c2}',
        'command c1',
        'eval c2',
        'env c3',
        'env E=f c4',
        'nice -n 1 c1',
        'timeout 5 c2',
        'nohup c3',
        'exec c4',
        'bash -c "c1" _',
        'sh -c \'c2 "$@"\' _',
        'xargs c3',
      ),
      fc.array(tie('word'), { maxLength: 3 }),
    )
    .map(([prefix, name, words]) => `${prefix}${[name, ...words].join(' ')}`),
  command: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    { arbitrary: tie('simple'), weight: 4 },
    { arbitrary: tie('list').map((list) => `( ${list} )`), weight: 1 },
    { arbitrary: tie('list').map((list) => `{ ${list}; }`), weight: 1 },
    { arbitrary: fc.tuple(tie('list'), tie('list')).map(([a, b]) => `if ${a}; then ${b}; else ${a}; fi`), weight: 1 },
    { arbitrary: tie('list').map((list) => `for V in 1 2; do ${list}; done`), weight: 1 },
    { arbitrary: tie('list').map((list) => `case x in x) ${list} ;; *) c4 no ;; esac`), weight: 1 },
    { arbitrary: tie('list').map((list) => `f() { ${list}; }; f u v`), weight: 1 },
    { arbitrary: tie('simple').map((text) => `cat <<E | bash\n${text.replace(/[$`\\]/g, '')}\nE\n`), weight: 1 },
    { arbitrary: tie('simple').map((text) => `eval '${text.replace(/'/g, '')}'`), weight: 1 },
    { arbitrary: tie('simple').map((text) => `bash -c '${text.replace(/'/g, '')}'`), weight: 1 },
    { arbitrary: fc.constant('find . -exec c1 {} +'), weight: 1 },
  ),
  list: fc
    .tuple(
      tie('command'),
      fc.array(fc.tuple(fc.constantFrom('; ', ' && ', ' || ', ' | ', '\n'), tie('command')), { maxLength: 2 }),
    )
    .map(([first, rest]) =>
      rest.reduce((text, [joint, next]) => text + (text.endsWith('\n') ? '' : joint) + next, first),
    ),
  line: fc
    .tuple(fc.constantFrom('', 'V=v; ', 'C=c2; ', 'C=c3; V="r s"; ', 'W=w; '), tie('list'))
    .map(([setting, list]) => setting + list),
}))
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: it is shell

describe.each(['bash', 'sh'] as const)('what %s runs', (shell) => {
  it('was read before, or is said to be unreadable', () => {
    let readable = 0
    let calls = 0
    fc.assert(
      fc.property(line, (drawn) => {
        // dash knows neither $'…' nor braces, and hands both on as they stand.
        const text = shell === 'sh' ? drawn.replaceAll("$'", "'").replace(/\{g,h\}|i\{j,\}/g, 'gh') : drawn
        const read = readCommandLine(text)
        if (read.unreadable.length > 0) return
        readable++
        const patterns = read.commands.filter(({ name }) => name !== '').map(patternOf)
        for (const call of called(shell, text)) {
          calls++
          expect(
            patterns.some((pattern) => pattern.test(call)),
            `${call}was not read from: ${text}`,
          ).toBe(true)
        }
      }),
      { numRuns: 100, seed: 20_250_101, endOnFailure: true },
    )
    // Else the property would say little.
    expect(readable).toBeGreaterThan(40)
    expect(calls).toBeGreaterThan(100)
  })
})
