import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { readBody } from '../../../../services/gate/proxy/body.ts'

const read = (body: string | Buffer, type?: string | string[], encoding: string[] = [], whole = true) =>
  readBody(
    { framing: 'length', bytes: Buffer.from(body), whole },
    {
      ...(type === undefined ? {} : { 'content-type': [type].flat() }),
      ...(encoding.length === 0 ? {} : { 'content-encoding': encoding }),
    },
  )
const JSON_TYPE = 'application/json'
const FORM = 'application/x-www-form-urlencoded'

describe('a body that can be judged', () => {
  test.each([
    ['JSON', '{"a":[1,"é"]}', JSON_TYPE, { a: [1, 'é'] }],
    ['JSON with a charset', '{"a":1}', 'application/json; charset=UTF-8', { a: 1 }],
    ['JSON of a kind', '{"a":1}', 'application/vnd.api+json', { a: 1 }],
    ['JSON that is called text', ' [{"a":1}]', 'text/plain', [{ a: 1 }]],
    ['JSON that is called a form, as curl does', '{"amount":1}', FORM, { amount: 1 }],
    ['JSON without a type', '{"a":1}', undefined, { a: 1 }],
    ['a form', 'a=1&b=x+y%26&c', FORM, { a: 1, b: 'x y&', c: '' }],
    ['a form with names given twice', 'a=1&a=2', FORM, { a: [1, 2] }],
    [
      'a form with brackets',
      'm[o]=1&m[p][q]=z&l[]=1&i[0][p]=5&i[1][p]=6',
      FORM,
      {
        m: { o: 1, p: { q: 'z' } },
        l: [1],
        i: [{ p: 5 }, { p: 6 }],
      },
    ],
    [
      'numbers in a form as they are spelled',
      'a=1&b=01&c=1e3&d=-2.5&e=12345678901234567890',
      FORM,
      {
        a: 1,
        b: '01',
        c: '1e3',
        d: -2.5,
        e: '12345678901234567890',
      },
    ],
    ['text', 'DROP TABLE x', 'text/plain', 'DROP TABLE x'],
    ['XML', '<a/>', 'application/soap+xml; charset=utf-8', '<a/>'],
  ] as const)('%s', async (_name, body, type, value) => {
    expect((await read(body, type)).judged).toEqual({ state: 'whole', value })
  })

  test('a multipart form: fields, and of files their name, type and size', async () => {
    const body = [
      '--b\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n',
      '--b\r\nContent-Disposition: form-data; name="file"; filename="a.sh"\r\nContent-Type: text/x-sh\r\n\r\nrm -rf /\r\n',
      '--b--\r\n',
    ].join('')
    const { judged } = await read(body, 'multipart/form-data; boundary=b')
    expect(judged).toEqual({
      state: 'whole',
      value: { note: 'hello', file: { filename: 'a.sh', type: 'text/x-sh', bytes: 8 } },
    })
  })

  test.each([
    ['gzip', gzipSync],
    ['x-gzip', gzipSync],
    ['br', brotliCompressSync],
    ['deflate', deflateSync],
    ['deflate', deflateRawSync],
    ['identity', (text: string) => Buffer.from(text)],
  ] as const)('compressed by %s', async (coding, compress) => {
    const { judged, isJson } = await read(compress('{"a":1}'), JSON_TYPE, [coding])
    expect(judged).toEqual({ state: 'whole', value: { a: 1 } })
    // An edit would have to be compressed anew: it is not taken.
    expect(isJson).toBe(false)
  })

  test('compressed twice, in one header or in two', async () => {
    const body = gzipSync(brotliCompressSync('{"a":1}'))
    for (const encoding of [['br, gzip'], ['br', 'gzip']])
      expect((await read(body, JSON_TYPE, encoding)).judged).toEqual({ state: 'whole', value: { a: 1 } })
  })

  test('none at all', async () => {
    expect((await read('', JSON_TYPE)).judged).toEqual({ state: 'none' })
    const none = { framing: 'none' as const, bytes: Buffer.alloc(0), whole: true }
    expect((await readBody(none, {})).judged).toEqual({ state: 'none' })
  })
})

describe('a body that cannot be judged', () => {
  // It could be read, but for its length.
  const bomb = gzipSync(`{"a":1}${' '.repeat(20 * 1024 * 1024)}`)
  test.each([
    ['a key given twice', '{"amount":1,"amount":2}', JSON_TYPE],
    ['more behind the end', '{"a":1} {"a":2}', JSON_TYPE],
    ['a byte order mark', '\ufeff{"a":1}', JSON_TYPE],
    ['no JSON though it says so', 'amount=1', JSON_TYPE],
    ['what looks like JSON and is none', '{"a":1', 'text/plain'],
    ['another charset', '{"a":1}', 'application/json; charset=utf-16'],
    ['two charsets', '{"a":1}', 'application/json; charset=utf-8; charset=utf-7'],
    ['no UTF-8', Buffer.from('{"a":"\xe9"}', 'latin1'), JSON_TYPE],
    ['two types', '{"a":1}', [JSON_TYPE, FORM]],
    ['an unknown coding', '{"a":1}', JSON_TYPE, ['rot13']],
    ['a coding that it does not have', '{"a":1}', JSON_TYPE, ['gzip']],
    [
      'more behind the compressed end',
      Buffer.concat([deflateSync('{"a":1}'), Buffer.from('x')]),
      JSON_TYPE,
      ['deflate'],
    ],
    ['codings without end', gzipSync('{}'), JSON_TYPE, ['gzip, gzip, gzip, gzip']],
    ['a bomb', bomb, JSON_TYPE, ['gzip']],
    ['a form that contradicts itself', 'a=1&a[b]=2', FORM],
    ['a form with semicolons', 'a=1;b=2', FORM],
    ['a form that is no UTF-8', 'a=%ff', FORM],
    ['a form with odd brackets', 'a[b=1', FORM],
    [
      'a multipart form without its end',
      '--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1',
      'multipart/form-data; boundary=b',
    ],
    ['bytes', Buffer.from([1, 2, 3]), 'application/octet-stream'],
    ['nothing said of its type', 'a=1', undefined],
  ] as const)('%s', async (_name, body, type, encoding: readonly string[] = []) => {
    const { judged, isJson } = await read(body as Buffer, type as string, [...encoding])
    expect([judged.state, isJson]).toEqual(['unjudgeable', false])
  })
})

test('of a body that is too long, a person sees its beginning, or the names of its parts', async () => {
  const text = await read(`{"a":"${'x'.repeat(100)}`, JSON_TYPE, [], false)
  expect(text).toMatchObject({
    judged: { state: 'partly', mayOverrideMethod: false },
    cut: true,
    shown: { text: expect.stringContaining('xxx') },
  })
  const parts = await read(
    '--b\r\nContent-Disposition: form-data; name="file"; filename="large é.bin"\r\n\r\nxxxx',
    'multipart/form-data; boundary=b',
    [],
    false,
  )
  expect(parts.shown).toMatchObject({ parts: [{ name: 'file', filename: 'large é.bin' }] })
  expect((await read(Buffer.from([0, 1, 2]), 'image/png', [], false)).shown).toEqual({
    unread: { bytes: 'more than 3', type: 'image/png' },
  })
})

describe('a body that is not read, of which it is told whether it may ask for another method', () => {
  const long = 'x'.repeat(1_000)
  const MULTIPART = 'multipart/form-data; boundary=b'
  const part = (name: string) => `--b\r\nContent-Disposition: form-data; name=${name}\r\n\r\n${long}`

  test.each<[string, string | Buffer, string | string[] | undefined, string[]?, boolean?]>([
    ['a long form', `_method=DELETE&x=${long}`, FORM],
    ['a long form that may do so further on', `x=${long}`, FORM],
    ['long JSON', `{"_method":"DELETE","x":"${long}`, JSON_TYPE],
    ['long JSON that escapes it', `{"\\u005fmetho\\u0064" : "DELETE","x":"${long}`, JSON_TYPE],
    ['JSON in a coding', `${long}`, JSON_TYPE, ['gzip']],
    ['a long multipart form', part('"_method"'), MULTIPART],
    ['a long multipart form without quotes', part('_method'), MULTIPART],
    ['long text that a server may take for a form', `a=1&%5Fmethod=DELETE&x=${long}`, 'text/plain'],
    ['a form with a semicolon', 'a=1;_method=DELETE', FORM, [], true],
    ['a form of two types', '_method=DELETE', [FORM, JSON_TYPE], [], true],
    ['JSON with a key given twice', '{"_method":"GET","_method":"DELETE"}', JSON_TYPE, [], true],
    ['JSON in wide characters', Buffer.from('{"_method":"DELETE"}', 'utf16le'), JSON_TYPE, [], true],
    ['a form in a charset of its own', Buffer.from([0x6d, 0x94]), `${FORM}; charset=ibm037`, [], true],
    ['no type', 'a=1&.method=DELETE', undefined, [], true],
  ])('%s may', async (_name, body, type, encoding = [], whole = false) => {
    expect((await read(body, type, encoding, whole)).judged).toMatchObject({ mayOverrideMethod: true })
  })

  test.each<[string, string | Buffer, string | undefined, string[]?, boolean?]>([
    ['long JSON', `{"method":"DELETE","the_method":1,"x":"${long}`, JSON_TYPE],
    ['a long multipart form', part('"file"; filename="__method__.rb"'), MULTIPART],
    ['a picture', Buffer.from([0, 1, 2]), 'image/png'],
    ['an archive in a coding', Buffer.from([0, 1, 2]), 'application/x-tar', ['gzip']],
    ['program text', `a\n  .method(b).run_method = c${long}`, 'text/plain'],
    ['a form with a semicolon', 'a=1;b=2', FORM, [], true],
    ['bytes', Buffer.from([1, 2, 3]), 'application/octet-stream', [], true],
  ])('%s need not', async (_name, body, type, encoding = [], whole = false) => {
    expect((await read(body, type, encoding, whole)).judged).toMatchObject({ mayOverrideMethod: false })
  })
})
