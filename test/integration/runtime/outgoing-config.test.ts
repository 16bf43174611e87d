import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { callbackKey, sharedCallbackKey } from '../../../lib/runtime/callback-key.ts'
import { callbackFault } from '../../../lib/runtime/config/callbacks.ts'
import { ConfigError, loadConfig } from '../../../lib/runtime/config.ts'

function room(): string {
  const path = mkdtempSync(join(tmpdir(), 'countersign-config-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

function load(content: object) {
  const file = join(room(), 'countersign.yaml')
  writeFileSync(file, JSON.stringify(content))
  try {
    return loadConfig({ file, env: {} })
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

const secret = `whsec_${Buffer.alloc(32, 1).toString('base64')}`

describe('where Countersign calls', () => {
  it('is nowhere private, and nowhere that agents name, by default', () => {
    expect(load({})).toMatchObject({ network: { allowPrivate: [] }, callbacks: undefined, publicUrl: undefined })
  })

  it('takes networks, addresses, hosts and a public URL', () => {
    const network = { allowPrivate: ['127.0.0.1', '10.0.0.0/8', '::1', 'fd00::/8'] }
    const callbacks = { hosts: ['agents.example.com', '*.example.com:8443', '127.0.0.1:*'], secret }
    expect(load({ network, callbacks, publicUrl: 'https://approve.example.com/desk/' })).toMatchObject({
      network,
      callbacks,
      publicUrl: 'https://approve.example.com/desk',
    })
  })

  it.each(['127.1', '10.0.0.0/33', '0x7f.0.0.1', 'localhost', '10.0.0.0/', ''])('takes no network %j', (text) => {
    expect(load({ network: { allowPrivate: ['127.0.0.1', text] } })).toEqual([
      'network.allowPrivate.1 must be an IP address or a network (CIDR)',
    ])
  })

  it.each([
    'ftp://example.com',
    'example.com',
    'https://user@example.com',
    'https://example.com/?a=1',
    'https://example.com/#a',
  ])('takes no public URL %j', (publicUrl) => {
    expect(load({ publicUrl })).toEqual(['publicUrl must be an http(s):// URL without credentials, query or fragment'])
  })

  it('says what is wrong with callbacks, and never a secret', () => {
    expect(load({ callbacks: { hosts: ['a b', 'ex?mple.*:*'], secret: 'whsec_hunter2' } })).toEqual([
      expect.stringMatching(/^callbacks\.hosts\.0: /),
      expect.stringMatching(/^callbacks\.hosts\.1: /),
      'callbacks.secret must be whsec_ and the base64 of 24 to 64 bytes',
    ])
  })
})

describe('the host of a callback', () => {
  const fault = callbackFault([
    'agents.example.com',
    '*.runs.example.com',
    'local.test:8443',
    '[::1]:*',
    '*.any.test:*',
  ])

  it.each([
    'https://agents.example.com/done?run=1',
    'https://AGENTS.example.com./done',
    'https://a.runs.example.com:443/',
    'http://agents.example.com/',
    'https://a.any.test:1/',
    'https://[::1]:9443/',
    'https://local.test:8443/',
  ])('is taken of %s', (url) => {
    expect(fault(url)).toBeUndefined()
  })

  it.each([
    'https://example.com/',
    'https://agents.example.com.evil.test/',
    'https://evil.test/agents.example.com',
    'https://evil.test/?agents.example.com',
    'https://runs.example.com/',
    'https://local.test/',
    'https://a.runs.example.com:444/',
    'https://agents.example.com:80/',
    'http://agents.example.com:443/',
    'https://xagents.example.com/',
  ])('is refused of %s', (url) => {
    expect(fault(url)).toBe('names a host that is not in callbacks.hosts')
  })
})

describe('the key of links that decide', () => {
  it('is kept in the data directory, for its owner alone', () => {
    const path = room()
    const key = callbackKey(path, undefined)
    expect(key).toHaveLength(32)
    expect(callbackKey(path, undefined)).toEqual(key)
    expect(statSync(join(path, 'callback.key')).mode & 0o777).toBe(0o600)
    expect(callbackKey(room(), undefined)).not.toEqual(key)
    writeFileSync(join(path, 'callback.key'), 'damaged')
    const next = callbackKey(path, undefined)
    expect(next).not.toEqual(key)
    expect(callbackKey(path, undefined)).toEqual(next)
  })

  it('is of the service key where there is one, the same everywhere', () => {
    const key = callbackKey(room(), 'css_one')
    expect(key).toEqual(sharedCallbackKey('css_one'))
    expect(key).toHaveLength(32)
    expect(sharedCallbackKey('css_two')).not.toEqual(key)
  })
})
