import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startProcess } from '../support/process.ts'
import { PROXY_POLICY, proxied, sendRaw } from '../support/proxy-world.ts'
import { Caller } from '../support/server.ts'
import { startUpstream } from '../support/upstream-server.ts'

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

proxied(
  'a thousand calls are held at once; each goes with its own bytes, and none before it is approved',
  async ({ send, upstream, admin }) => {
    const stream = await admin.stream()
    const bodies = Array.from({ length: 1_000 }, (_, n) => Buffer.concat([Buffer.from(`${n} `), randomBytes(2_000)]))
    const calls = bodies.map((body, n) => send('PUT', `api/refunds/${n}`, { body }))
    for (const count of [250, 500, 750, 1_000])
      await stream.until(() => stream.events('requested').length >= count, `${count} requests`)
    expect(upstream.connections).toBe(0)
    const ids = stream.events('requested').map(({ approval }) => approval?.id ?? '')
    for (let at = 0; at < ids.length; at += 200) {
      const { status } = await admin.send('POST', '/v1/approvals/decisions', {
        body: { ids: ids.slice(at, at + 200), decision: 'approve' },
      })
      expect(status).toBe(200)
    }
    const answers = await Promise.all(calls.map(({ answer }) => answer))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    expect(new Set(answers.map(({ headers }) => headers['countersign-approval']))).toEqual(new Set(ids))
    const received = new Map(upstream.received.map(({ url, sha256 }) => [url, sha256]))
    expect(upstream.received).toHaveLength(1_000)
    for (const [n, body] of bodies.entries()) expect(received.get(`/refunds/${n}`)).toBe(sha256(body))
  },
  { config: () => 'gate: { maxHolds: 2000, maxHoldsPerAgent: 2000 }' },
)

test.runIf(process.platform === 'linux')('bodies that came while they were held: memory is flat', async () => {
  const upstream = await startUpstream()
  const cwd = mkdtempSync(join(tmpdir(), 'countersign-proxy-'))
  onTestFinished(() => rmSync(cwd, { recursive: true, force: true }))
  const spoolDir = join(cwd, 'spool')
  mkdirSync(spoolDir)
  writeFileSync(join(cwd, 'policy.yaml'), PROXY_POLICY)
  writeFileSync(
    join(cwd, 'countersign.yaml'),
    `gate: { spoolDir: "${spoolDir}" }\nupstreams: { api: { url: "${upstream.url}" } }\n`,
  )
  const server = await startProcess({ cwd, args: ['--port', '0'] })
  const { agentKey, token } = JSON.parse(readFileSync(join(cwd, '.countersign', 'owner.json'), 'utf8'))
  const admin = new Caller(server.url, token, 'owner')
  const proc = `/proc/${server.child.pid}`
  const peakMiB = () => Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`${proc}/status`, 'utf8'))?.[1]) / 1024
  const spools = () =>
    readdirSync(`${proc}/fd`).filter((fd) => {
      try {
        return readlinkSync(`${proc}/fd/${fd}`).startsWith(spoolDir)
      } catch {
        return false
      }
    })
  const send = (path: string, body: Buffer) => {
    let answer: Promise<{ status: number }> | undefined
    const uploaded = new Promise<void>((resolve) => {
      answer = sendRaw(server.url, 'PUT', path, {
        headers: { authorization: `Bearer ${agentKey}`, 'content-length': String(body.length) },
        body: (out) => void out.end(body, resolve),
      }).answer
    })
    return { answer, uploaded }
  }
  await send('/proxy/api/x', randomBytes(1024 * 1024)).answer

  const before = peakMiB()
  const body = randomBytes(50 * 1024 * 1024)
  const calls = Array.from({ length: 5 }, (_, n) => send(`/proxy/api/refunds/${n}`, body))
  const asked = await admin.pending(5)
  for (const { uploaded } of calls) await uploaded
  expect([spools().length, readdirSync(spoolDir)]).toEqual([5, []])
  for (const { id } of asked) await admin.decide(id, 'approve')
  for (const { answer } of calls) expect((await answer)?.status).toBe(200)
  expect(upstream.received.slice(1).map(({ sha256 }) => sha256)).toEqual(Array(5).fill(sha256(body)))
  // 250 MiB passed, twice.
  expect(peakMiB() - before).toBeLessThan(100)
  expect(spools()).toEqual([])
  await server.end('SIGTERM')
})
