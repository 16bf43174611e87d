import type { LookupAddress } from 'node:dns'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Agent } from 'undici'
import { describe, expect, it, onTestFinished } from 'vitest'
import { AddressRefusedError, addressRule, guardedConnector } from '../../../lib/adapters/webhook/address-guard.ts'

describe('what may be reached', () => {
  const mayReach = addressRule([])

  it.each(['8.8.8.8', '1.1.1.1', '2606:4700:4700::1111', '::ffff:8.8.8.8'])('%s, over TLS alone', (address) => {
    expect(mayReach(address, 'https:')).toBe(true)
    expect(mayReach(address, 'http:')).toBe(false)
  })

  it.each([
    '127.0.0.1',
    '127.1.2.3',
    '0.0.0.0',
    '10.0.0.1',
    '172.16.0.1',
    '192.168.1.1',
    '169.254.169.254',
    '100.64.0.1',
    '192.0.0.1',
    '192.0.2.1',
    '198.18.0.1',
    '224.0.0.1',
    '240.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::ffff:127.0.0.1',
    '::ffff:10.0.0.1',
    '::127.0.0.1',
    'fe80::1',
    'fe80::1%eth0',
    'fc00::1',
    'fd12:3456::1',
    'fec0::1',
    'ff02::1',
    '64:ff9b::7f00:1',
    '64:ff9b::a9fe:a9fe',
    '64:ff9b:1::1',
    '2002:7f00:1::',
    '2001::1',
    '2001:db8::1',
    '100::1',
    '2130706433',
    '0x7f.1',
    '0177.0.0.1',
    '127.1',
    'example.com',
    '',
  ])('not %s', (address) => {
    expect(mayReach(address, 'https:')).toBe(false)
    expect(mayReach(address, 'http:')).toBe(false)
  })

  it('what the configuration allows, with TLS and without', () => {
    const mayReach = addressRule(['10.1.0.0/16', '127.0.0.1', 'fd00::/8'])
    for (const address of ['10.1.2.3', '127.0.0.1', '::ffff:10.1.2.3', 'fd00::1'])
      expect([mayReach(address, 'http:'), mayReach(address, 'https:')]).toEqual([true, true])
    for (const address of ['10.2.0.1', '127.0.0.2', 'fe80::1']) expect(mayReach(address, 'https:')).toBe(false)
  })
})

/** What stands on loopback and must not be reached; counts who did. */
async function startTarget() {
  const target = { port: 0, requests: 0, connections: 0 }
  const server = createServer((_request, response) => {
    target.requests += 1
    response.end('reached')
  })
  server.on('connection', () => {
    target.connections += 1
  })
  await new Promise<void>((resolve) => server.listen(0, '::', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(() => resolve(undefined)))
  })
  target.port = (server.address() as AddressInfo).port
  return target
}

/** What a resolver says, in turn; the last answer stays. */
const resolver = (...answers: LookupAddress[][]) => {
  const asked: string[] = []
  const lookup: NonNullable<Parameters<typeof guardedConnector>[0]['lookup']> = (hostname, _options, callback) => {
    asked.push(hostname)
    callback(null, (answers.length > 1 ? answers.shift() : answers[0]) ?? [])
  }
  return { asked, lookup }
}

const v4 = (address: string): LookupAddress => ({ address, family: 4 })

async function reach(url: string, options: Partial<Parameters<typeof guardedConnector>[0]> = {}) {
  const agent = new Agent({ connect: guardedConnector({ allowPrivate: [], ...options }) })
  try {
    const { origin, pathname } = new URL(url)
    const { statusCode, body } = await agent.request({ origin, path: pathname, method: 'GET' })
    await body.dump()
    return statusCode
  } catch (error) {
    return error
  } finally {
    await agent.destroy()
  }
}

describe('the connector', () => {
  it.each([
    'http://127.0.0.1',
    'http://2130706433',
    'http://0x7f.1',
    'http://0177.0.0.1',
    'http://127.1',
    'http://[::1]',
    'http://[::ffff:127.0.0.1]',
    'http://[::ffff:7f00:1]',
    'http://0.0.0.0',
    'http://[::]',
    'http://localhost',
    'https://127.0.0.1',
    'https://[::1]',
    'https://localhost',
  ])('does not reach %s', async (origin) => {
    const target = await startTarget()
    expect(await reach(`${origin}:${target.port}/`)).toBeInstanceOf(AddressRefusedError)
    expect(target.connections).toBe(0)
  })

  it('reaches what the configuration allows, and nothing beside it', async () => {
    const target = await startTarget()
    const options = { allowPrivate: ['127.0.0.1'] }
    expect(await reach(`http://127.0.0.1:${target.port}/`, options)).toBe(200)
    expect(await reach(`http://[::ffff:127.0.0.1]:${target.port}/`, options)).toBe(200)
    expect(await reach(`http://127.0.0.2:${target.port}/`, options)).toBeInstanceOf(AddressRefusedError)
    expect(target.requests).toBe(2)
  })

  it('judges a name by what it resolves to', async () => {
    const target = await startTarget()
    const { lookup } = resolver([v4('127.0.0.1')])
    expect(await reach(`http://innocent.example:${target.port}/`, { lookup })).toBeInstanceOf(AddressRefusedError)
    expect(await reach(`https://innocent.example:${target.port}/`, { lookup })).toBeInstanceOf(AddressRefusedError)
    expect(target.connections).toBe(0)
  })

  it('leaves out the addresses that are not allowed, whatever stands beside them', async () => {
    const target = await startTarget()
    const { lookup } = resolver([v4('127.0.0.2'), v4('10.0.0.1'), v4('127.0.0.1')])
    expect(await reach(`http://mixed.example:${target.port}/`, { allowPrivate: ['127.0.0.1'], lookup })).toBe(200)
    expect(target.connections).toBe(1)
  })

  it('asks once for each connection, so that a name which changes its mind reaches nothing', async () => {
    const target = await startTarget()
    const { asked, lookup } = resolver([v4('127.0.0.1')], [v4('127.0.0.2')])
    const agent = new Agent({ connect: guardedConnector({ allowPrivate: ['127.0.0.1'], lookup }) })
    onTestFinished(() => agent.destroy())
    const request = () =>
      agent.request({ origin: `http://rebinding.example:${target.port}`, path: '/', method: 'GET', reset: true })
    const { statusCode, body } = await request()
    await body.dump()
    expect(statusCode).toBe(200)
    await expect(request()).rejects.toBeInstanceOf(AddressRefusedError)
    expect([asked.length, target.connections]).toEqual([2, 1])
  })

  it('says so when a name cannot be resolved', async () => {
    const lookup: NonNullable<Parameters<typeof guardedConnector>[0]['lookup']> = (_hostname, _options, callback) =>
      callback(Object.assign(new Error('nobody knows it'), { code: 'ENOTFOUND' }), [])
    expect(await reach('https://nowhere.example/', { lookup })).toMatchObject({ code: 'ENOTFOUND' })
    expect(await reach('https://empty.example/', resolver([]))).toBeInstanceOf(AddressRefusedError)
  })
})
