import { describe, expect, it } from 'vitest'
import type { Json } from '../../../../lib/core/canonical-json.ts'
import { CountersignError } from '../../../../lib/core/errors.ts'
import { isStateless, readMessage } from '../../../../services/gate/mcp/message.ts'

const rpc = (more: { [key: string]: Json }) => ({ jsonrpc: '2.0', ...more })

describe('a message of a client', () => {
  it('is a call, a request, a cancellation, or anything else that passes', () => {
    const call = rpc({ id: 'a', method: 'tools/call', params: { name: 'write', arguments: { path: 'x' } } })
    expect(readMessage(call)).toEqual({ type: 'call', id: 'a', tool: 'write', args: { path: 'x' }, message: call })
    expect(readMessage(rpc({ id: 1, method: 'tools/call', params: { name: 'write' } }))).toMatchObject({ args: {} })
    expect(readMessage(rpc({ id: 0, method: 'tools/list' }))).toMatchObject({ type: 'request', id: 0 })
    const cancelled = rpc({ method: 'notifications/cancelled', params: { requestId: 7 } })
    expect(readMessage(cancelled)).toMatchObject({ type: 'cancel', requestId: 7 })
    expect(readMessage(rpc({ method: 'notifications/initialized' }))).toMatchObject({ type: 'message' })
    expect(readMessage(rpc({ id: 3, result: {} }))).toMatchObject({ type: 'message' })
    expect(readMessage(rpc({ id: 3, error: { code: 1, message: 'no' } }))).toMatchObject({ type: 'message' })
  })

  const refused: [string, Json][] = [
    ['a batch', [rpc({ id: 1, method: 'ping' })]],
    ['no object', 'ping'],
    ['another protocol', { jsonrpc: '1.0', id: 1, method: 'ping' }],
    ['a call without an id', rpc({ method: 'tools/call', params: { name: 'write' } })],
    ['a call with null as its id', rpc({ id: null, method: 'tools/call', params: { name: 'write' } })],
    ['a request that is an answer too', rpc({ id: 1, method: 'tools/call', params: { name: 'write' }, result: {} })],
    ['a call of nothing', rpc({ id: 1, method: 'tools/call' })],
    ['a call of an empty name', rpc({ id: 1, method: 'tools/call', params: { name: '' } })],
    ['a call of a very long name', rpc({ id: 1, method: 'tools/call', params: { name: 'x'.repeat(257) } })],
    [
      'a call with a second name in another case',
      rpc({ id: 1, method: 'tools/call', params: { name: 'r', Name: 'w' } }),
    ],
    ['a call with ARGUMENTS', rpc({ id: 1, method: 'tools/call', params: { name: 'r', ARGUMENTS: {} } })],
    ['a call with a long s in arguments', rpc({ id: 1, method: 'tools/call', params: { name: 'r', argumentſ: {} } })],
    ['a call with wide letters', rpc({ id: 1, method: 'tools/call', params: { name: 'r', ｎａｍｅ: 'w' } })],
    ['a call with _Meta', rpc({ id: 1, method: 'tools/call', params: { name: 'r', _Meta: {} } })],
    ['another request with Name', rpc({ id: 1, method: 'prompts/get', params: { name: 'r', Name: 'w' } })],
    ['a request with a second method', rpc({ id: 1, method: 'ping', Method: 'tools/call' })],
    ['a request with Params', rpc({ id: 1, method: 'ping', Params: {} })],
    ['a request with a second id', rpc({ id: 1, method: 'ping', ID: 2 })],
    ['an answer that may be a call', rpc({ id: 1, result: {}, METHOD: 'tools/call' })],
    ['a notification with another protocol', rpc({ method: 'notifications/initialized', JSONRPC: '2.0' })],
    ['a call with a list of arguments', rpc({ id: 1, method: 'tools/call', params: { name: 'w', arguments: [] } })],
  ]
  it.each(refused)('is never %s', (_, value) => {
    expect(() => readMessage(value)).toThrow(CountersignError)
    expect(() => readMessage(value)).toThrow(expect.objectContaining({ code: 'invalid_body' }))
  })

  it('has arguments with whatever keys their tool takes', () => {
    const params = { name: 'write', arguments: { Name: 'x', name: 'y', METHOD: 'z' } }
    expect(readMessage(rpc({ id: 1, method: 'tools/call', params }))).toMatchObject({ args: params.arguments })
  })

  it('names its revision by itself where there are no sessions', () => {
    const meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' }
    expect(isStateless(rpc({ id: 1, method: 'ping', params: { _meta: meta } }))).toBe(true)
    expect(isStateless(rpc({ id: 1, method: 'ping', params: {} }))).toBe(false)
    expect(isStateless(rpc({ id: 1, method: 'ping' }))).toBe(false)
  })
})
