import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { ConfigError, loadConfig } from '../../../lib/runtime/config.ts'

function load(mcp: object, env: Record<string, string> = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'countersign-config-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const file = join(dir, 'countersign.yaml')
  writeFileSync(file, JSON.stringify({ mcp }))
  return loadConfig({ file, env }).mcp
}

function problems(mcp: object): readonly string[] {
  try {
    load(mcp)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

test('servers by address and by command, with defaults and secrets from the environment', () => {
  const servers = load(
    {
      wiki: {
        url: 'https://wiki.example/mcp',
        headers: { Authorization: `Bearer \${TOKEN}` },
        mode: 'hold',
        trusted: true,
      },
      files: {
        command: 'files-server',
        args: ['--root', '/srv'],
        env: { KEY: `\${TOKEN}` },
        cwd: '/srv',
        holdFor: '20s',
      },
    },
    { TOKEN: 'secret' },
  )
  expect(servers).toEqual([
    {
      name: 'wiki',
      upstream: { type: 'url', url: 'https://wiki.example/mcp', headers: { authorization: 'Bearer secret' } },
      mode: 'hold',
      holdForMs: undefined,
      trusted: true,
    },
    {
      name: 'files',
      upstream: {
        type: 'command',
        command: 'files-server',
        args: ['--root', '/srv'],
        env: { KEY: 'secret' },
        cwd: '/srv',
        maxSessions: 32,
        idleMs: 1_800_000,
      },
      mode: 'auto',
      holdForMs: 20_000,
      trusted: false,
    },
  ])
})

const wrong: [string, object, RegExp][] = [
  ['neither', { a: {} }, /mcp\.a must have either url or command/],
  ['both', { a: { url: 'http://x', command: 'y' } }, /mcp\.a must have either url or command/],
  ['a scheme', { a: { url: 'ftp://hidden-secret' } }, /mcp\.a\.url must be http/],
  ['a password in the address', { a: { url: 'http://me:hidden-secret@x' } }, /mcp\.a\.url must be .*without user name/],
  ['a name', { a__b: { url: 'http://x' } }, /mcp\.a__b: .*no double underscore/],
  ['a name at its end', { a_: { url: 'http://x' } }, /mcp\.a_: /],
  ['arguments of an address', { a: { url: 'http://x', args: ['hidden-secret'] } }, /mcp\.a\.args goes with command/],
  ['headers of a command', { a: { command: 'x', headers: { A: 'hidden-secret' } } }, /mcp\.a\.headers goes with url/],
  [
    'a header of the transport',
    { a: { url: 'http://x', headers: { 'Mcp-Session-Id': 'hidden-secret' } } },
    /set by the gate/,
  ],
  ['a header that is none', { a: { url: 'http://x', headers: { 'a b': 'hidden-secret' } } }, /name that no header/],
  [
    'a value that is none',
    { a: { url: 'http://x', headers: { a: 'hidden-secret\n' } } },
    /mcp\.a\.headers\.a has a char/,
  ],
  ['a variable', { a: { command: 'x', env: { '1=': 'hidden-secret' } } }, /mcp\.a\.env has a name/],
  ['a mode', { a: { url: 'http://x', mode: 'hidden-secret' } }, /mcp\.a\.mode must be equal to one of/],
  ['a time without its mode', { a: { url: 'http://x', mode: 'hold', holdFor: '9s' } }, /holdFor goes with mode: auto/],
  ['a short time', { a: { url: 'http://x', holdFor: '9ms' } }, /mcp\.a\.holdFor must be at least 1s/],
  ['no sessions', { a: { command: 'x', maxSessions: 0 } }, /mcp\.a\.maxSessions must be >= 1/],
  ['a short life', { a: { command: 'x', idleTimeout: '1ms' } }, /mcp\.a\.idleTimeout must be at least 1s/],
  ['an unknown key', { a: { url: 'http://x', hidden: 1 } }, /mcp\.a must NOT have additional properties \(hidden\)/],
]
test.each(wrong)('%s is named, and no value is told', (_, mcp, message) => {
  const found = problems(mcp)
  expect(found.join('\n')).toMatch(message)
  expect(found.join('\n')).not.toContain('hidden-secret')
})
