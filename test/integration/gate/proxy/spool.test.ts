import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../../../lib/runtime/clock.ts'
import { createMetrics } from '../../../../lib/runtime/metrics.ts'
import { bodyAfter, type Peeked, peek } from '../../../../services/gate/proxy/peek.ts'
import { openNameless, type Spool, Spools } from '../../../../services/gate/proxy/spool.ts'

const MIB = 1024 * 1024
const GONE = 'an agent that leaves is not noticed'

interface Held {
  incoming: IncomingMessage
  response: ServerResponse
  peeked: Peeked
  spool: Spool | undefined
}

/** A server that holds every call with its body spooled, and spools whose files can be looked at. */
async function startHolding(options: { maxBytes?: number; open?: (dir: string) => Promise<FileHandle> } = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'countersign-spool-'))
  const files: FileHandle[] = []
  const warnings: string[] = []
  const log = pino({ level: 'warn' }, { write: (line: string) => void warnings.push(line) })
  const metrics = createMetrics()
  const spools = new Spools({
    open: async () => {
      const file = await (options.open ?? openNameless)(dir)
      files.push(file)
      return file
    },
    maxBytes: options.maxBytes ?? 100 * MIB,
    log,
    metrics,
  })
  const calls: Held[] = []
  const waiting: (() => void)[] = []
  const server = createServer(async (incoming, response) => {
    const peeked = await peek(incoming, systemClock)
    calls.push({ incoming, response, peeked, spool: spools.begin(incoming, response, peeked) })
    for (const wake of waiting.splice(0)) wake()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    rmSync(dir, { recursive: true, force: true })
  })
  const bytes = async () => (await metrics.spoolBytes.get()).values[0]?.value
  return {
    dir,
    files,
    warnings,
    bytes,
    /** Begins a call; `rest` of a body with this length is for the test to write. */
    send: (length: number | 'chunked') => {
      const { port } = server.address() as AddressInfo
      const headers: Record<string, string> =
        length === 'chunked' ? { 'transfer-encoding': 'chunked' } : { 'content-length': String(length) }
      const outgoing = request({ port, host: '127.0.0.1', method: 'POST', headers, agent: false })
      outgoing.on('error', () => undefined).on('response', (answer) => answer.resume())
      return outgoing
    },
    connect: () => connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => undefined),
    held: async (): Promise<Held> => {
      while (calls.length === 0) await new Promise<void>((resolve) => waiting.push(resolve))
      return calls.shift() as Held
    },
    /** Resolves when this much is spooled. */
    until: async (count: number) => {
      while ((await bytes()) !== count) await new Promise((resolve) => setTimeout(resolve, 5))
    },
  }
}

const sha256 = (body: Buffer) => createHash('sha256').update(body).digest('hex')

/** What goes on to an upstream. */
async function forwarded({ incoming, peeked, spool }: Held): Promise<{ sha256: string; length: number }> {
  spool?.stop()
  const digest = createHash('sha256')
  let length = 0
  for await (const chunk of bodyAfter(incoming, peeked, spool)) {
    digest.update(chunk)
    length += chunk.length
  }
  return { sha256: digest.digest('hex'), length }
}

const as = (body: Buffer) => ({ sha256: sha256(body), length: body.length })

test('a body that came whole while it was held is read back, from a file that nobody can find or read', async () => {
  const { dir, files, send, held, until, bytes, warnings } = await startHolding()
  const secret = 'card 4111 1111 1111 1111; '
  const body = Buffer.from(secret.repeat(200_000))
  for (const length of [body.length, 'chunked'] as const) {
    const outgoing = send(length)
    outgoing.end(body)
    const call = await held()
    const spooled = body.length - call.peeked.bytes.length
    await until(spooled)
    const file = files.at(-1) as FileHandle
    expect(readdirSync(dir)).toEqual([])
    const { mode, nlink } = await file.stat()
    expect([mode & 0o777, nlink]).toEqual([0o600, 0])
    // The last piece may still be on its way.
    while ((await file.stat()).size < spooled) await new Promise((resolve) => setTimeout(resolve, 5))
    const onDisk = Buffer.alloc(spooled)
    await file.read(onDisk, 0, spooled, 0)
    expect(onDisk.includes(secret.slice(0, 6))).toBe(false)
    expect(onDisk.includes(Buffer.alloc(64))).toBe(false)

    expect(await forwarded(call)).toEqual(as(body))
    expect([await bytes(), file.fd]).toEqual([0, -1])
    call.response.end()
  }
  expect(warnings).toEqual([])
})

test('the same body twice is different on disk', async () => {
  const { files, send, held, until } = await startHolding()
  const body = Buffer.alloc(MIB)
  const read: Buffer[] = []
  for (const at of [0, 1]) {
    send(body.length).end(body)
    const call = await held()
    await until(body.length - call.peeked.bytes.length)
    const file = files[at] as FileHandle
    while ((await file.stat()).size < body.length - call.peeked.bytes.length)
      await new Promise((resolve) => setTimeout(resolve, 5))
    const piece = Buffer.alloc(MIB / 2)
    await file.read(piece, 0, piece.length, 0)
    read.push(piece)
    await call.spool?.free()
    call.response.end()
  }
  expect(read[0]?.equals(read[1] as Buffer)).toBe(false)
})

test('what comes after the decision follows behind what was spooled', async () => {
  const { send, held, until, bytes } = await startHolding()
  const body = randomBytes(8 * MIB)
  for (const length of [body.length, 'chunked'] as const) {
    const outgoing = send(length)
    outgoing.write(body.subarray(0, 3 * MIB))
    const call = await held()
    await until(3 * MIB - call.peeked.bytes.length)
    const whole = forwarded(call)
    outgoing.write(body.subarray(3 * MIB, 5 * MIB))
    outgoing.end(body.subarray(5 * MIB))
    expect(await whole).toEqual(as(body))
    expect(await bytes()).toBe(0)
    call.response.end()
  }
})

test('past the total a body stays with its agent, arrives whole all the same, and leaves its room to others', async () => {
  const { files, send, held, until, bytes, warnings } = await startHolding({ maxBytes: 4 * MIB })
  const body = randomBytes(30 * MIB)
  // Known not to fit: nothing of it is written.
  const tooLong = send(body.length)
  tooLong.end(body)
  const first = await held()
  expect([first.spool, files.length, await bytes()]).toEqual([undefined, 0, 0])
  expect(warnings).toEqual([expect.stringContaining(GONE)])

  const chunked = send('chunked')
  chunked.end(body)
  const second = await held()
  while (warnings.length < 2) await new Promise((resolve) => setTimeout(resolve, 5))
  expect(await bytes()).toBeLessThanOrEqual(4 * MIB)
  expect([tooLong.writableFinished, chunked.writableFinished]).toEqual([false, false])
  expect(warnings[1]).toContain('gate.maxSpool is used up')
  expect(await Promise.all([forwarded(first), forwarded(second)])).toEqual([as(body), as(body)])
  expect(await bytes()).toBe(0)

  const small = randomBytes(2 * MIB)
  send(small.length).end(small)
  const third = await held()
  await until(small.length - third.peeked.bytes.length)
  expect(await forwarded(third)).toEqual(as(small))
  expect(warnings).toHaveLength(2)
})

test('nothing is spooled where the total is nothing', async () => {
  const { files, send, held, warnings } = await startHolding({ maxBytes: 0 })
  const body = randomBytes(2 * MIB)
  send(body.length).end(body)
  const call = await held()
  expect(call.spool).toBeUndefined()
  expect(await forwarded(call)).toEqual(as(body))
  expect([files.length, warnings.length]).toEqual([0, 0])
})

const BROKEN_DISKS: [string, ((dir: string) => Promise<FileHandle>) | undefined][] = [
  ['a directory that is not there', (dir) => openNameless(join(dir, 'none'))],
  // Every write to it fails as on a full disk.
  ['a full disk', existsSync('/dev/full') ? () => open('/dev/full', 'r+') : undefined],
]

for (const [disk, openOn] of BROKEN_DISKS)
  test.runIf(openOn)(`with ${disk} a body stays with its agent, with one warning`, async () => {
    const { send, held, bytes, warnings } = await startHolding({ ...(openOn ? { open: openOn } : {}) })
    const body = randomBytes(30 * MIB)
    const outgoing = send(body.length)
    outgoing.end(body)
    const call = await held()
    while (warnings.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(outgoing.writableFinished).toBe(false)
    expect(await forwarded(call)).toEqual(as(body))
    expect(warnings).toEqual([expect.stringContaining(GONE)])
    expect(await bytes()).toBe(0)
  })

test('an agent that leaves is noticed, whether or not its body had come whole, and nothing is kept', async () => {
  const { files, send, held, until, bytes } = await startHolding()
  const body = randomBytes(20 * MIB)
  for (const [at, length] of [2 * body.length, body.length, 'chunked' as const].entries()) {
    const outgoing = send(length)
    outgoing.write(body)
    const call = await held()
    await until(body.length - call.peeked.bytes.length)
    outgoing.destroy()
    await once(call.response, 'close')
    await until(0)
    expect(files[at]?.fd).toBe(-1)
    await expect(forwarded(call)).rejects.toThrow()
  }
  expect(await bytes()).toBe(0)
})

test('an agent that leaves a call in line behind another leaves nothing of it', async () => {
  const { files, connect, held, until } = await startHolding()
  const body = randomBytes(4 * MIB)
  const agent = connect()
  agent.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await held()
  agent.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${2 * body.length}\r\n\r\n`)
  agent.write(body)
  const { peeked } = await held()
  await until(body.length - peeked.bytes.length)
  agent.destroy()
  await until(0)
  expect(files.at(-1)?.fd).toBe(-1)
})

test('a spool is freed by a refusal, and by an upstream that wants no more of it', async () => {
  const { files, send, held, until } = await startHolding()
  const body = randomBytes(4 * MIB)
  send(body.length).end(body)
  const refused = await held()
  await until(body.length - refused.peeked.bytes.length)
  refused.response.end('no')
  await until(0)

  send(body.length).end(body)
  const call = await held()
  await until(body.length - call.peeked.bytes.length)
  const going = bodyAfter(call.incoming, call.peeked, call.spool)
  await going.next()
  await going.next()
  await going.return(undefined)
  await until(0)
  expect(files.map(({ fd }) => fd)).toEqual([-1, -1])
})
