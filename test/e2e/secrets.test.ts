import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect } from 'vitest'
import { scenario } from '../support/server.ts'

const SECRET = 'hunter2hunter2hunter2'
const JWT = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U'
const AWS = 'AKIAIOSFODNN7EXAMPLE'

const args = {
  authorization: `Bearer ${SECRET}`,
  headers: { Cookie: SECRET, 'X-Api-Key': SECRET, 'proxy-authorization': SECRET, accept: 'text/plain' },
  list: [{ password: SECRET }, [`https://x.example/?q=1&access_token=${SECRET}`]],
  body: JSON.stringify({ deep: { client_secret: SECRET, note: JSON.stringify({ token: SECRET }) } }),
  command: `curl -H "Authorization: Bearer ${SECRET}" https://user:${SECRET}@x.example --password=${SECRET}`,
  text: `the key is ${AWS} and the token ${JWT}`,
  visible: 'plain text',
}

const lines: string[] = []
const log = pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) })

scenario(
  'secrets in arguments are on no list, card, stream, log line or disk; the agent gets them back whole',
  async (world) => {
    const { agent, admin } = world
    const stream = await admin.stream()
    const answer = agent.ask('kept.secret', args, {
      context: { summary: `please, token ${JWT}`, session: `s ${JWT}`, user: AWS },
    })
    const { approval } = await stream.frame(({ event }) => event === 'requested')
    const id = approval?.id ?? ''
    await admin.decide(id, 'approve', { reason: `the password is ${AWS}` })
    expect((await answer).body.args).toEqual(args)
    await agent.send('POST', `/v1/actions/${id}/outcome`, { body: { status: 'failed', detail: `got 401 for ${JWT}` } })
    await stream.frame(({ event }) => event === 'settled')
    await agent.send('POST', '/v1/actions', { text: `{"tool":"x","args":{"password":"${SECRET}","password":1}}` })
    await agent.ask('never.this', args)
    const seen = JSON.stringify([
      stream.frames,
      (await admin.send('GET', '/v1/approvals')).body,
      await admin.record(id),
      (await agent.send('GET', `/v1/actions/${id}`)).body,
    ])
    expect(seen).toContain('plain text')
    await world.stop()
    const disk = readdirSync(world.dataDir).map((file) => readFileSync(join(world.dataDir, file), 'latin1'))
    for (const [place, text] of [
      ['api', seen],
      ['log', lines.join('')],
      ['disk', disk.join('')],
    ] as const)
      for (const secret of [SECRET, JWT, AWS])
        expect([place, secret, text.includes(secret)]).toEqual([place, secret, false])
  },
  { log },
)
