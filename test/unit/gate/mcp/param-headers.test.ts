import { expect, it } from 'vitest'
import { declaredParams, strayParam } from '../../../../services/gate/mcp/param-headers.ts'

const declared = declaredParams({
  inputSchema: {
    properties: {
      path: { type: 'string', 'x-mcp-header': 'Path' },
      count: { type: 'integer', 'x-mcp-header': 'count' },
      force: { type: 'boolean', 'x-mcp-header': 'Force' },
      where: { type: 'object', properties: { region: { type: 'string', 'x-mcp-header': 'Region' } } },
      note: { type: 'string' },
    },
  },
})
const args = { path: 'ä b', count: 42, force: true, where: { region: 'eu' }, note: '/etc' }

it('takes headers that say what the arguments say', () => {
  const encoded = `=?base64?${Buffer.from('ä b').toString('base64')}?=`
  for (const headers of [
    {},
    { 'mcp-name': 'write' },
    { 'mcp-param-path': encoded, 'mcp-param-count': '42', 'mcp-param-force': 'true', 'mcp-param-region': 'eu' },
    { 'mcp-param-count': '42.0' },
  ])
    expect(strayParam(headers, args, declared)).toBeUndefined()
})

it.each([
  ['another value', { 'mcp-param-path': '/etc' }],
  ['the value of another argument', { 'mcp-param-region': '/etc' }],
  ['an argument that the tool does not name', { 'mcp-param-note': '/etc' }],
  ['a number in another form', { 'mcp-param-count': '0x2a' }],
  ['several values', { 'mcp-param-region': 'eu, us' }],
  ['a key that every object has', { 'mcp-param-constructor': '' }],
])('finds one with %s', (_, headers) => {
  expect(strayParam(headers, args, declared)).toBe(Object.keys(headers)[0])
})

it('finds one that repeats what is not there, and any of a tool that is not known', () => {
  expect(strayParam({ 'mcp-param-region': 'eu' }, {}, declared)).toBe('mcp-param-region')
  expect(strayParam({ 'mcp-param-region': 'eu' }, args, undefined)).toBe('mcp-param-region')
})
