import { expect } from 'vitest'
import { scenario } from '../support/server.ts'

const POLICY = `
version: 1
default: allow
settings: { timeout: 1m, warn: 57s }
rules:
  - { id: usual, match: { tool: usual }, action: require_approval }
  - { id: share, match: { tool: share }, action: require_approval, approval: { warn: 5% } }
  - { id: silent, match: { tool: silent }, action: require_approval, approval: { timeout: 4s, warn: never } }
`
const asynchronously = { headers: { prefer: 'respond-async' } }

scenario(
  'people are warned once before the time runs out, and not of what is decided or wants no warning',
  async ({ agent, admin }) => {
    const stream = await admin.stream()
    const ask = async (tool: string, n: number) => (await agent.ask(tool, { n }, asynchronously)).body.approvalId ?? ''
    const decided = await ask('usual', 1)
    await admin.decide(decided, 'approve')
    const warned = [await ask('usual', 2), await ask('share', 3)]
    const silent = await ask('silent', 4)
    for (const id of warned) {
      const { approval } = await stream.frame(({ event, approval }) => event === 'expiring' && approval?.id === id)
      expect(approval).toMatchObject({ status: 'pending', warnedAt: expect.stringMatching(/Z$/) })
      expect(await admin.record(id)).toMatchObject({ warnedAt: approval!.warnedAt, version: approval!.version })
    }
    await stream.frame(({ event, approval }) => event === 'decided' && approval?.id === silent)
    // The one that was decided would have been first.
    expect(stream.events('expiring').map(({ approval }) => approval?.id)).toEqual(warned)
    expect((await admin.record(decided)).warnedAt).toBeUndefined()
  },
  { policy: POLICY },
)

scenario(
  'a warning changes nothing for the agent: the call is decided as before',
  async ({ agent, admin }) => {
    const stream = await admin.stream()
    const held = agent.ask('usual')
    const { approval } = await stream.frame(({ event }) => event === 'expiring')
    await admin.decide(approval!.id, 'approve')
    expect(await held).toMatchObject({ status: 200, body: { approvalId: approval!.id } })
    const { approval: decided } = await stream.frame(({ event }) => event === 'decided')
    expect(decided).toMatchObject({ status: 'approved', warnedAt: approval!.warnedAt })
  },
  { policy: POLICY },
)
