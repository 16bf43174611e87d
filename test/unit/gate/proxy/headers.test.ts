import { describe, expect, test } from 'vitest'
import { foldHeader } from '../../../../lib/core/header-name.ts'
import { headersToAnswer, headersToForward, judgedHeaders } from '../../../../services/gate/proxy/headers.ts'

const forwarded = (rawHeaders: string[], configured: Record<string, string> = {}) =>
  headersToForward(
    { rawHeaders, headers: { connection: 'x-hop' } },
    { secret: 'csk_0123456789', replaced: new Set(Object.keys(configured).map(foldHeader)) },
  )

describe('names that CGI, WSGI and PHP take for one', () => {
  test.each([
    ['what the configuration sets', ['X_Api_Key', 'mine', 'x_API-Key', 'mine'], { 'x-api-key': 'k' }],
    ['what the configuration sets with an underscore', ['X-Tenant', 'mine'], { x_tenant: 't' }],
    ['what speaks to the gate', ['Countersign_Key', 'k', 'COUNTERSIGN_approval', 'a'], {}],
    ['what is of the connection', ['Transfer_Encoding', 'chunked', 'Proxy_Authorization', 'b', 'X_Hop', '1'], {}],
    ['a credential', ['X_Api_Key', 'k'], {}],
    ['what says how to read the body', ['Content_Length', '7', 'Content_Type', 'a/b', 'Content_Encoding', 'gzip'], {}],
  ])('%s is dropped in every spelling', (_name, list, configured) => {
    expect(forwarded(list, configured)).toEqual({ list: [], values: {} })
  })

  test('any other goes on as it came', () => {
    expect(forwarded(['X_Tenant', '1', 'X-Tenant', '2']).list).toEqual(['X_Tenant', '1', 'X-Tenant', '2'])
  })

  test('a rule sees the values of all, by either name', () => {
    const { values } = forwarded(['X_Tenant', '1', 'x-tenant', '2', 'Accept', 'a'])
    expect(values).toEqual({ x_tenant: ['1'], 'x-tenant': ['2'], accept: ['a'] })
    expect(judgedHeaders(values)).toEqual({ x_tenant: ['1', '2'], 'x-tenant': ['1', '2'], accept: ['a'] })
    const odd = judgedHeaders(forwarded(['__proto__', '1']).values)
    expect([Object.keys(odd), Object.getPrototypeOf(odd)]).toEqual([['--proto--', '__proto__'], Object.prototype])
  })
})

describe('what is of one connection', () => {
  const NAMES = ['Connection', 'Keep-Alive', 'Proxy-Connection', 'TE', 'Transfer-Encoding', 'Upgrade', 'HTTP2-Settings']

  test.each([...NAMES, 'Expect', 'Host', 'Proxy-Authorization', 'Trailer', 'X-Hop'])(
    '%s goes to no upstream',
    (name) => {
      expect(forwarded([name, '1', 'X-Stays', '2'])).toEqual({ list: ['X-Stays', '2'], values: { 'x-stays': ['2'] } })
    },
  )

  test.each([...NAMES, 'Proxy-Authenticate', 'Trailer', 'X-Hop'])('%s of an answer goes to no agent', (name) => {
    const raw = ['Connection', 'x-hop', name, '1', 'X-Stays', '2']
    expect(headersToAnswer(raw, { approvalId: null, trailers: false })).toEqual(['X-Stays', '2'])
  })
})
