import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { normaliseTarget, normaliseUrl, pathReadings, targetUrl } from '../../../../lib/core/policy/target.ts'

const at = (path: string, authority = 'example.com') => normaliseTarget({ scheme: 'https', authority, path })
const pathOf = (path: string) => {
  const found = at(path)
  return found.ok ? found.target.path : found.reason
}
const hostOf = (authority: string, scheme = 'https') => {
  const found = normaliseTarget({ scheme, authority, path: '/' })
  return found.ok ? `${found.target.host}:${found.target.port}` : found.reason
}

describe('paths', () => {
  it.each([
    ['/', '/'],
    ['/v1', '/v1'],
    ['/v1/', '/v1/'],
    ['/V1', '/V1'],
    ['//v1/a', '/v1/a'],
    ['/v1///a//', '/v1/a/'],
    ['/v1/../admin', '/admin'],
    ['/v1/%2e%2e/admin', '/admin'],
    ['/v1/%2E%2e/%61dmin', '/admin'],
    ['/v1/.%2e/admin', '/admin'],
    ['/v1/./a', '/v1/a'],
    ['/v1/a/.', '/v1/a/'],
    ['/v1/a/..', '/v1/'],
    ['/../../etc', '/etc'],
    ['/v1//../admin', '/admin'],
    ['/v1%2Fa', '/v1%2Fa'],
    ['/v1%2fa', '/v1%2Fa'],
    ['/%7Euser', '/~user'],
    ['/a%20b', '/a%20b'],
    ['/a%c3%a4', '/a%C3%A4'],
    ['/a|b{c}', '/a%7Cb%7Bc%7D'],
    ["/Users('x')", "/Users('x')"],
    ['/a;b=1/c', '/a;b=1/c'],
    ['/models/x:delete', '/models/x:delete'],
    ['/100%25', '/100%25'],
    ['/...', '/...'],
  ])('%s is %s', (raw, path) => {
    expect(pathOf(raw)).toBe(path)
  })

  it.each([
    ['', 'begin with a slash'],
    ['v1', 'begin with a slash'],
    ['*', 'begin with a slash'],
    ['/a\\b', 'backslash'],
    ['/a%5cb', 'backslash'],
    ['/a%5C..%5Cb', 'backslash'],
    ['/a%EF%BC%BCb', 'take for a slash'],
    ['/a%EF%BC%8Fb', 'take for a slash'],
    ['/a\u0000', 'control'],
    ['/a%00', 'control'],
    ['/a%0d%0ab', 'control'],
    ['/a%7f', 'control'],
    ['/a%C2%85', 'control'],
    ['/a b', 'spaces'],
    ['/ä', 'bare Unicode'],
    ['/a%', 'encodes nothing'],
    ['/a%2', 'encodes nothing'],
    ['/a%zz', 'encodes nothing'],
    ['/a%u002f', 'encodes nothing'],
    ['/%252e%252e/a', 'encoded twice'],
    ['/%25%32%46', 'encoded twice'],
    ['/a%c0%af', 'not UTF-8'],
    ['/a%e0%80%af', 'not UTF-8'],
    ['/a%ff', 'not UTF-8'],
    ['/a%ED%A0%80', 'not UTF-8'],
    ['/a#b', 'fragment'],
    ['/v1/..%2fadmin', 'dot segments'],
    ['/v1%2F..%2Fadmin', 'dot segments'],
    ['/v1/..;/admin', 'dot segments'],
    ['/v1/..;x=1/admin', 'dot segments'],
    ['/v1/.;/admin', 'dot segments'],
    ['/v1/..%3B/admin', 'dot segments'],
    ['/v1/..%20/admin', 'dot segments'],
    ['/v1/%EF%BC%8E%EF%BC%8E/admin', 'dot segments'],
    [`/${'a'.repeat(20_000)}`, 'longer than'],
  ])('%s is refused', (raw, reason) => {
    expect(pathOf(raw)).toContain(reason)
  })

  it.each<[string, string[][]]>([
    ['/v1/a', [['v1', 'a']]],
    ['/a%20b', [['a b']]],
    ['/v1%2Fa', [['v1/a'], ['v1', 'a']]],
    [
      '/admin;x=1/users',
      [
        ['admin;x=1', 'users'],
        ['admin', 'users'],
      ],
    ],
    [
      '/a%2Fb;c/d',
      [
        ['a/b;c', 'd'],
        ['a', 'b;c', 'd'],
        ['a/b', 'd'],
        ['a', 'b', 'd'],
      ],
    ],
    [
      '/v1%2F%2Fa/',
      [
        ['v1//a', ''],
        ['v1', 'a', ''],
      ],
    ],
  ])('%s may be read as %j', (path, readings) => {
    expect(pathReadings(path)).toEqual(readings)
  })
})

describe('hosts', () => {
  it.each([
    ['Example.COM', 'example.com:443'],
    ['example.com.', 'example.com:443'],
    ['example.com:443', 'example.com:443'],
    ['example.com:0443', 'example.com:443'],
    ['example.com:', 'example.com:443'],
    ['example.com:8443', 'example.com:8443'],
    ['bücher.example', 'xn--bcher-kva.example:443'],
    ['XN--Bcher-KVA.example', 'xn--bcher-kva.example:443'],
    ['exаmple.com', 'xn--exmple-4nf.com:443'],
    ['ｅｘａｍｐｌｅ。com', 'example.com:443'],
    ['exam\u00adple.com', 'example.com:443'],
    ['my_host.internal', 'my_host.internal:443'],
    ['127.0.0.1', '127.0.0.1:443'],
    ['127.1', '127.0.0.1:443'],
    ['0x7f.0.0.1', '127.0.0.1:443'],
    ['2130706433', '127.0.0.1:443'],
    ['017700000001', '127.0.0.1:443'],
    ['0x7f000001', '127.0.0.1:443'],
    ['127.0.0.1.', '127.0.0.1:443'],
    ['[::1]', '[::1]:443'],
    ['[0:0:0:0:0:0:0:1]:80', '[::1]:80'],
    ['[2001:DB8::0:1]', '[2001:db8::1]:443'],
    ['[::ffff:127.0.0.1]', '127.0.0.1:443'],
    ['[::FFFF:7f00:1]', '127.0.0.1:443'],
  ])('%s is %s', (raw, host) => {
    expect(hostOf(raw)).toBe(host)
  })

  it.each([
    ['', 'cannot be read'],
    ['user@example.com', 'user name'],
    ['user:pass@example.com', 'user name'],
    ['example.com:0', 'port'],
    ['example.com:65536', 'port'],
    ['example.com:8o', 'cannot be read'],
    ['example.com:123456', 'cannot be read'],
    ['example..com', 'no name'],
    ['example.com..', 'no name'],
    ['.example.com', 'no name'],
    ['-a.example', 'no name'],
    ['ex ample.com', 'no host has'],
    ['example.com\\evil', 'no host has'],
    ['example.com/evil', 'no host has'],
    ['example.com#evil', 'no host has'],
    ['example%2ecom', 'no host has'],
    ['example.com\u0000', 'no host has'],
    ['256.1.1.1', 'cannot be read'],
    ['1.2.3.4.5', 'cannot be read'],
    ['[::1', 'cannot be read'],
    ['[fe80::1%25eth0]', 'cannot be read'],
    ['::1', 'cannot be read'],
    [`${'a'.repeat(64)}.com`, 'no name'],
    [`${'a.'.repeat(130)}com`, 'no name'],
  ])('%j is refused', (raw, reason) => {
    expect(hostOf(raw)).toContain(reason)
  })

  it('have the port of the scheme', () => {
    expect(hostOf('a.example', 'HTTP')).toBe('a.example:80')
    expect(hostOf('a.example', 'ftp')).toContain('neither http nor https')
  })
})

describe('queries', () => {
  const query = (text: string) => {
    const found = at(`/${text}`)
    return found.ok ? [found.target.query, found.target.queryValues] : found.reason
  }

  it('stay as they are, and are read as forms are', () => {
    expect(query('')).toEqual([null, {}])
    expect(query('?')).toEqual(['', {}])
    expect(query('?a=1&b&a=%32+3&&c=x=y')).toEqual(['a=1&b&a=%32+3&&c=x=y', { a: ['1', '2 3'], b: [''], c: ['x=y'] }])
    expect(query('?u=https://x/..%2F%252e')).toEqual(['u=https://x/..%2F%252e', { u: ['https://x/../%2e'] }])
    expect(query('?__proto__=1')).toEqual(['__proto__=1', Object.fromEntries([['__proto__', ['1']]])])
  })

  it('are not judged where servers differ', () => {
    expect(query('?a=1;b=2')).toEqual(['a=1;b=2', null])
    expect(query('?a=%ff')).toEqual(['a=%ff', null])
  })

  it.each([
    ['?a=%', 'encodes nothing'],
    ['?a b', 'spaces'],
    ['?a#b', 'fragment'],
    ['?ä', 'bare Unicode'],
  ])('%s is refused', (text, reason) => {
    expect(query(text)).toContain(reason)
  })
})

describe('URLs', () => {
  it.each([
    ['HTTPS://Example.com:443/a/../b?q=1', 'https://example.com/b?q=1'],
    ['http://example.com', 'http://example.com/'],
    ['http://example.com:8080?q', 'http://example.com:8080/?q'],
  ])('%s is %s', (raw, url) => {
    const found = normaliseUrl(raw)
    expect(found.ok && targetUrl(found.target)).toBe(url)
  })

  it.each(['example.com', '/a', 'javascript:alert(1)', 'http://a@b/', 'http:///a', 'http://a/#b', 'http:\\\\a\\b'])(
    '%s is refused',
    (raw) => {
      expect(normaliseUrl(raw).ok).toBe(false)
    },
  )
})

const piece = fc.constantFrom(
  ...['/', '//', '.', '..', '%2e', '%2F', '%2f', ';', ';x=1', 'a', 'A', 'v1', '%41', '%c3%a4', '%20', '%25', '%3B'],
  ...['{', '|', ':', '@', '~', '%7e', '?', '&', '=', '+', '%', '2', 'e', '\\', '%5c', 'ä', '%00', '%ff'],
)
const rawPath = fc.oneof(
  fc.array(piece, { maxLength: 12 }).map((pieces) => `/${pieces.join('')}`),
  fc.string({ unit: 'binary', maxLength: 40 }),
)
const rawAuthority = fc.oneof(
  fc
    .array(fc.constantFrom('a', 'B', '.', '-', '1', '0x7f', ':', '8', '[', ']', '::', 'ü', 'ｅ', '@', '%'), {
      maxLength: 8,
    })
    .map((pieces) => pieces.join('')),
  fc.domain(),
  fc.ipV4Extended(),
  fc.ipV6().map((address) => `[${address}]`),
)

describe('for any input', () => {
  it('the form of a form is itself, and so is that of its URL', () => {
    let accepted = 0
    fc.assert(
      fc.property(fc.constantFrom('http', 'https'), rawAuthority, rawPath, (scheme, authority, path) => {
        const first = normaliseTarget({ scheme, authority, path })
        if (!first.ok) return
        accepted++
        const { target } = first
        const again = normaliseTarget({
          scheme: target.scheme,
          authority: `${target.host}:${target.port}`,
          path: `${target.path}${target.query === null ? '' : `?${target.query}`}`,
        })
        expect(again).toEqual(first)
        expect(normaliseUrl(targetUrl(target))).toEqual(first)
      }),
      { numRuns: 5_000 },
    )
    expect(accepted).toBeGreaterThan(300)
  })

  it('what is forwarded is what was judged: the URL standard reads it the same way', () => {
    fc.assert(
      fc.property(rawAuthority, rawPath, (authority, path) => {
        const found = normaliseTarget({ scheme: 'https', authority, path })
        if (!found.ok) return
        const url = new URL(targetUrl(found.target))
        expect(url.pathname).toBe(found.target.path)
        expect(url.hostname).toBe(found.target.host)
        expect(url.username + url.password + url.hash).toBe('')
      }),
      { numRuns: 3_000 },
    )
  })

  it('no reading of what is accepted has a dot segment, an empty one or a control character', () => {
    fc.assert(
      fc.property(rawPath, (path) => {
        const found = at(path)
        if (!found.ok) return
        for (const reading of pathReadings(found.target.path))
          for (const [index, segment] of reading.entries()) {
            expect(segment.split('/').some((part) => part === '.' || part === '..')).toBe(false)
            expect(segment === '' && index < reading.length - 1).toBe(false)
            expect(/\p{Cc}|\\/u.test(segment)).toBe(false)
          }
      }),
      { numRuns: 5_000 },
    )
  })
})
