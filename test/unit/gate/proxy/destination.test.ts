import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { normaliseUrl, targetUrl } from '../../../../lib/core/policy/target.ts'
import { readUpstreams, type Upstream } from '../../../../lib/runtime/config/upstreams.ts'
import { destinationOf } from '../../../../services/gate/proxy/destination.ts'

const upstreams = new Map<string, Upstream>(
  readUpstreams(
    {
      bare: { url: 'https://api.example.com' },
      deep: { url: 'http://api.example.com:8080/v1/' },
      six: { url: 'http://[::1]:8080' },
    },
    [],
  ).map((upstream) => [upstream.name, upstream]),
)
const urlOf = (path: string): string => targetUrl(destinationOf(path, upstreams).target)

describe('where a path leads', () => {
  test.each([
    ['/proxy/bare', 'https://api.example.com/'],
    ['/proxy/bare/', 'https://api.example.com/'],
    ['/proxy/bare?a=1', 'https://api.example.com/?a=1'],
    ['/proxy/deep', 'http://api.example.com:8080/v1'],
    ['/proxy/deep?', 'http://api.example.com:8080/v1?'],
    ['/proxy/deep/', 'http://api.example.com:8080/v1/'],
    ['/proxy/deep/a/../b', 'http://api.example.com:8080/v1/b'],
    ['/proxy/deep/a/%2e%2E/b/', 'http://api.example.com:8080/v1/b/'],
    ['/proxy/deep//a///b', 'http://api.example.com:8080/v1/a/b'],
    ['/proxy/deep/%61%2Fb?x=%61&x=/../', 'http://api.example.com:8080/v1/a%2Fb?x=%61&x=/../'],
    ['/proxy/deep/a?b?c', 'http://api.example.com:8080/v1/a?b?c'],
    ['/proxy/six/a', 'http://[::1]:8080/a'],
  ])('%s', (path, url) => {
    expect(urlOf(path)).toBe(url)
  })

  test.each([
    ['/proxy/deep/../admin', 'climbs'],
    ['/proxy/deep/%2e%2e/admin', 'climbs'],
    ['/proxy/deep/a/../../admin', 'climbs'],
    ['/proxy/deep/./..', 'climbs'],
    ['/proxy/deep//../x', 'climbs'],
    ['/proxy/bare/..', 'climbs'],
    ['/proxy/deep/..;/admin', 'dot segments'],
    ['/proxy/deep/%2e%2e%2fadmin', 'dot segments'],
    ['/proxy/deep/%252e%252e/admin', 'encoded twice'],
    ['/proxy/deep/..%5cadmin', 'backslash'],
    ['/proxy/deep/a%zz', 'percent'],
    ['/proxy/deep/é', 'bare Unicode'],
    ['http://x/proxy/deep/a', 'must begin'],
    ['/%70roxy/deep/a', 'must begin'],
  ])('%s is refused', (path, why) => {
    expect(() => destinationOf(path, upstreams)).toThrow(why)
  })

  test.each(['/proxy/', '/proxy//a', '/proxy/nobody', '/proxy/Deep/a', '/proxy/%64eep/a', '/proxy/../deep'])(
    '%s names no upstream',
    (path) => {
      expect(() => destinationOf(path, upstreams)).toThrow(expect.objectContaining({ code: 'not_found' }))
    },
  )

  test('no spelling gets out of the upstream’s path, and what is forwarded is in one form', () => {
    const piece = fc.constantFrom(
      '..',
      '.',
      '%2e',
      '%2E.',
      '/',
      '//',
      'a',
      '%2f',
      '%5c',
      ';',
      '..;',
      '?',
      '%25',
      '\\',
      '@',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        let url: string
        try {
          url = urlOf(`/proxy/deep/${pieces.join('')}`)
        } catch {
          return
        }
        expect(new URL(url).href.startsWith('http://api.example.com:8080/v1')).toBe(true)
        expect(new URL(url).pathname).toMatch(/^\/v1(\/|$)/)
        const again = normaliseUrl(url)
        expect(again.ok && targetUrl(again.target)).toBe(url)
      }),
    )
  })
})
