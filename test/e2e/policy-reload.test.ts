import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { withBackend } from '../support/backends/backend.ts'
import { createFleet, findEngines } from '../support/fleet.ts'
import { startProcess } from '../support/process.ts'
import { type Caller, scenario, type World } from '../support/server.ts'

const policy = (...rules: string[]) =>
  `version: 1\ndefault: allow\nsettings: { timeout: 1m }\nrules:\n${rules.map((rule) => `  - ${rule}\n`).join('')}`
const ASK = '{ id: ask, match: { tool: "ask.*" }, action: require_approval }'
const ASK_TWO =
  '{ id: ask, match: { tool: "ask.*" }, action: require_approval, approval: { threshold: { approve: 2, deny: 1 } } }'
const DENY = '{ id: no, match: { tool: "no.*" }, action: deny }'
const options = { policy: policy(ASK) }

const fileOf = ({ dataDir }: World): string => join(dirname(dataDir), 'policy.yaml')

async function metricsOf({ url, secret }: Caller): Promise<string> {
  const answer = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${secret}` } })
  return answer.text()
}

/** Resolves as soon as it holds; rejects after 20 seconds. */
async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + 20_000
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`waited for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const untilCounted = (admin: Caller, outcome: string, count: number) =>
  until(
    async () => (await metricsOf(admin)).includes(`countersign_policy_reloads_total{outcome="${outcome}"} ${count}\n`),
    `${count} ${outcome}`,
  )

scenario(
  'rules that are added hold from the next call, without a restart',
  async (world) => {
    const { agent, admin } = world
    expect(await agent.ask('no.thing')).toMatchObject({ status: 200 })
    writeFileSync(fileOf(world), policy(ASK, DENY))
    await untilCounted(admin, 'loaded', 1)
    expect(await agent.ask('no.thing')).toMatchObject({ status: 403, body: { code: 'policy_denied' } })
    const info = /^countersign_policy_info\{revision="([0-9a-f]{16})",source="file"\} 1$/gm
    expect([...(await metricsOf(admin)).matchAll(info)]).toHaveLength(1)
  },
  options,
)

const lines: string[] = []
scenario(
  'a bad file keeps the old rules and says where it is wrong; deleted, it keeps them too',
  async (world) => {
    const { agent, admin } = world
    writeFileSync(fileOf(world), policy(ASK, '{ id: typo, match: { tool: "x" }, action: forbid }'))
    await untilCounted(admin, 'refused', 1)
    expect(lines.join('')).toMatch(/policy\.yaml:6:\d+: rules\[1\]\.action: rule \\"typo\\": this must be one of/)
    rmSync(fileOf(world))
    await untilCounted(admin, 'missing', 1)
    expect(await metricsOf(admin)).toContain('countersign_policy_stale 1\n')
    expect(await agent.ask('ask.this', {}, { headers: { prefer: 'respond-async' } })).toMatchObject({ status: 202 })
    expect((await fetch(`${world.url}/readyz`)).status).toBe(200)
    writeFileSync(fileOf(world), policy(ASK, DENY))
    await untilCounted(admin, 'loaded', 1)
    expect(await metricsOf(admin)).toContain('countersign_policy_stale 0\n')
    expect((await agent.ask('no.thing')).status).toBe(403)
  },
  { ...options, log: pino({ level: 'info' }, { write: (line: string) => void lines.push(line) }) },
)

scenario(
  'an approval that was given under rules that changed is not used: the call is asked anew',
  async (world) => {
    const { agent, admin } = world
    const first = await agent.ask('ask.this', { n: 1 }, { headers: { prefer: 'respond-async' } })
    await admin.pending()
    await admin.decide(first.body.approvalId ?? '', 'approve')
    writeFileSync(fileOf(world), policy(ASK_TWO))
    await untilCounted(admin, 'loaded', 1)
    const again = await agent.ask('ask.this', { n: 1 }, { headers: { prefer: 'respond-async' } })
    expect(again.status).toBe(202)
    expect(again.body.approvalId).not.toBe(first.body.approvalId)
    const named = { prefer: 'respond-async', 'countersign-approval': first.body.approvalId ?? '' }
    expect(await agent.ask('ask.this', { n: 1 }, { headers: named })).toMatchObject({
      status: 404,
      body: { code: 'approval_not_found' },
    })
  },
  options,
)

scenario(
  'a held call whose rule changed does not go when it is approved; under a rule that allows it by now, it does',
  async (world) => {
    const { agent, admin } = world
    const answers = ['ask.a', 'ask.b', 'ask.c'].map((tool) => agent.ask(tool))
    const pending = await admin.pending(3)
    writeFileSync(
      fileOf(world),
      policy(
        '{ id: ask, match: { tool: ask.a }, action: require_approval, approval: { threshold: { approve: 2, deny: 1 } } }',
        '{ id: no, match: { tool: ask.b }, action: deny }',
      ),
    )
    await untilCounted(admin, 'loaded', 1)
    for (const { id } of pending) await admin.decide(id, 'approve')
    const [other, denied, allowed] = await Promise.all(answers)
    expect(other).toMatchObject({ status: 403, body: { code: 'approval_cancelled' } })
    expect(other?.body.detail).toContain('The rules changed')
    expect(denied).toMatchObject({ status: 403, body: { code: 'policy_denied', detail: 'Denied by the rule no.' } })
    expect(allowed).toMatchObject({ status: 200, body: { effect: 'allow' } })
    const of = (tool: string) => pending.find(({ action }) => action.tool === tool)?.id ?? ''
    for (const tool of ['ask.a', 'ask.b']) {
      const { status } = await admin.recordThat(of(tool), ({ history }) => history?.at(-1)?.type === 'returned')
      expect(status).toBe('approved')
    }
  },
  options,
)

const shadowLines: string[] = []
scenario(
  'a rule in shadow is told of, and changes nothing',
  async ({ agent, admin }) => {
    expect(await agent.ask('ask.this', { n: 1 }, { headers: { prefer: 'respond-async' } })).toMatchObject({
      status: 202,
    })
    expect(await agent.ask('other')).toMatchObject({ status: 200, body: { rule: null } })
    expect(await metricsOf(admin)).toContain('countersign_policy_shadow_total{rule="trial",action="deny"} 1\n')
    const told = shadowLines.map((line) => JSON.parse(line)).filter(({ rule }) => rule === 'trial')
    expect(told).toEqual([
      expect.objectContaining({ would: 'deny', effect: 'require_approval', agent: 'agent', target: 'ask.this' }),
    ])
  },
  {
    policy: policy(ASK, '{ id: trial, mode: shadow, match: { tool: "ask.*" }, action: deny }'),
    log: pino({ level: 'info' }, { write: (line: string) => void shadowLines.push(line) }),
  },
)

test('SIGHUP reads the file, does not end the process, and follows a ConfigMap', async () => {
  const cwd = mkdtempSync(join(tmpdir(), 'countersign-reload-'))
  onTestFinished(() => rmSync(cwd, { recursive: true, force: true }))
  // As Kubernetes mounts it: the file is a link through `..data`, which is replaced by a rename.
  const publish = (version: string, text: string) => {
    mkdirSync(join(cwd, version))
    writeFileSync(join(cwd, version, 'policy.yaml'), text)
    symlinkSync(version, join(cwd, '..data_tmp'))
    renameSync(join(cwd, '..data_tmp'), join(cwd, '..data'))
  }
  publish('..v1', policy(ASK))
  symlinkSync('..data/policy.yaml', join(cwd, 'policy.yaml'))
  const up = await startProcess({ cwd, args: ['--port', '0'] })
  const logged = (pattern: RegExp) => until(() => pattern.test(up.stderr()), `${pattern}`)

  up.child.kill('SIGHUP')
  await logged(/"the policy file has not changed"/)
  publish('..v2', policy(ASK, DENY))
  await logged(/"rules":2,"msg":"policy loaded"/)
  expect(await up.end('SIGTERM')).toBe(0)
})

await withBackend('a gate of a fleet', findEngines, ({ kafka, mongo }) => {
  test('a gate of a fleet takes a new policy; SIGHUP ends neither it nor the decider', async () => {
    const fleet = await createFleet(kafka, mongo)
    const decider = await fleet.start('decider')
    const gate = await fleet.start('gate')
    writeFileSync(join(fleet.cwd, 'policy.yaml'), policy(ASK, DENY))
    const admin = fleet.admin(gate.url)
    await untilCounted(admin, 'loaded', 1)
    expect((await fleet.agent(gate.url).ask('no.thing')).body.code).toBe('policy_denied')
    for (const { child } of [gate, decider]) child.kill('SIGHUP')
    await untilCounted(admin, 'unchanged', 1)
    for (const { url } of [gate, decider]) expect((await fetch(`${url}/readyz`)).status).toBe(200)
    for (const each of [gate, decider]) expect(await each.end('SIGTERM')).toBe(0)
  })
})
