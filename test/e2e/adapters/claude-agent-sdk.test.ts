import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, onTestFinished } from 'vitest'
import { z } from 'zod'
import { guardHooks, guardPermissions } from '../../../clients/adapters/claude-agent-sdk.ts'
import { createClient } from '../../../clients/sdk/index.ts'
import {
  type AgentOptions,
  adapterScenarios,
  agentScenario,
  clientOf,
  decideNext,
  type MakeAgent,
  TOOLS,
  type ToolArgs,
  type ToolName,
} from '../../support/adapter-scenarios.ts'
import { startMessagesApi } from '../../support/messages-api.ts'

/**
 * The real package brings a program of 350 MB and is no dependency of the tests. With CLAUDE_AGENT_SDK, a folder that
 * it is installed in, the scenarios run against it too, with a model of our own behind the Messages API; without, the
 * callbacks are called as it calls them.
 */
const { CLAUDE_AGENT_SDK: folder } = process.env

type Client = Parameters<MakeAgent>[0]['client']
type Guard = (client: Client, options: AgentOptions) => Options
type Options = Pick<ReturnType<typeof guardHooks>, 'hooks'> | ReturnType<typeof guardPermissions>

const schema = z.object({ amount: z.number(), to: z.string() })
const session = { session_id: 'claude-1', cwd: '/work', permission_mode: 'default' }
const toolUseID = 'toolu_1'

/** One tool call, in the order and the shapes of the package: hook, permission, the tool, hook. */
async function callTool(
  options: Options,
  { name, args, run }: { name: string; args: object; run: (input: ToolArgs) => Promise<string> },
): Promise<string> {
  const { signal } = new AbortController()
  const base = { ...session, tool_name: name, tool_use_id: toolUseID }
  let input: object = args
  let isPermitted = !('canUseTool' in options)
  const told: string[] = []
  for (const { hooks } of 'PreToolUse' in options.hooks ? options.hooks.PreToolUse : [])
    for (const hook of hooks) {
      const event = { ...base, hook_event_name: 'PreToolUse', tool_input: input }
      const { hookSpecificOutput: output } = await hook(event, toolUseID, { signal })
      if (output?.hookEventName !== 'PreToolUse') continue
      if (output.permissionDecision === 'deny') return output.permissionDecisionReason
      input = output.updatedInput ?? input
      told.push(output.additionalContext ?? '')
      isPermitted = true
    }
  if (!isPermitted && 'canUseTool' in options) {
    const result = await options.canUseTool(name, args as Record<string, unknown>, { signal, toolUseID })
    if (result.behavior === 'deny') return result.message
    input = result.updatedInput
  }
  const end = (hook_event_name: 'PostToolUse' | 'PostToolUseFailure') =>
    options.hooks[hook_event_name][0]?.hooks[0]?.({ ...base, hook_event_name, tool_input: input }, toolUseID, {
      signal,
    })
  let ended: Awaited<ReturnType<typeof end>>
  try {
    told.unshift(await run(schema.parse(input)))
    ended = await end('PostToolUse')
  } catch (error) {
    told.unshift(String(error))
    ended = await end('PostToolUseFailure')
  }
  return [...told, ended?.hookSpecificOutput?.additionalContext ?? ''].join('\n')
}

const asShapes =
  (guard: Guard): MakeAgent =>
  ({ client, run, options }) => ({
    call: (name, args) => callTool(guard(client, options), { name, args, run: (input) => run(name, input) }),
  })

/** The package itself, with the tools on an MCP server in this process. */
const asInstalled =
  (guard: Guard, allowedTools: string[]): MakeAgent =>
  ({ client, run, options }) => ({
    async call(name, args) {
      const home = mkdtempSync(join(tmpdir(), 'countersign-claude-'))
      onTestFinished(() => rmSync(home, { recursive: true, force: true, maxRetries: 5 }))
      const entry = createRequire(join(folder ?? '', 'package.json')).resolve('@anthropic-ai/claude-agent-sdk')
      const sdk = await import(/* @vite-ignore */ pathToFileURL(entry).href)
      const toolOf = (each: ToolName) =>
        sdk.tool(each, `To ${each}.`, schema.shape, async (input: ToolArgs) => ({
          content: [{ type: 'text', text: await run(each, input) }],
        }))
      const api = await startMessagesApi({ name: `mcp__t__${name}`, input: args })
      const messages = sdk.query({
        prompt: 'Go.',
        options: {
          ...guard(client, options),
          mcpServers: { t: sdk.createSdkMcpServer({ name: 't', tools: TOOLS.map(toolOf), alwaysLoad: true }) },
          allowedTools,
          cwd: home,
          settingSources: [],
          model: 'claude-sonnet-4-5',
          maxTurns: 3,
          env: {
            PATH: process.env.PATH,
            HOME: home,
            ANTHROPIC_BASE_URL: api.url,
            ANTHROPIC_API_KEY: 'none',
            CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
            DISABLE_AUTOUPDATER: '1',
          },
        },
      })
      let last: { type?: string; subtype?: string } = {}
      for await (const message of messages) last = message
      expect(last).toMatchObject({ type: 'result', subtype: 'success' })
      return api.told()
    },
  })

const saysLittle = { tellsErrors: false }

describe('guardHooks', () => adapterScenarios(asShapes(guardHooks), saysLittle))
describe('guardPermissions', () => adapterScenarios(asShapes(guardPermissions), saysLittle))
if (folder) {
  describe('guardHooks, in the package', () => adapterScenarios(asInstalled(guardHooks, ['mcp__t']), saysLittle))
  describe('guardPermissions, in the package', () => adapterScenarios(asInstalled(guardPermissions, []), saysLittle))
}

agentScenario('a hook knows its session, mode and subagent, and the rules see them', async (world) => {
  const { hooks } = guardHooks(clientOf(world))
  const event = {
    ...session,
    hook_event_name: 'PreToolUse',
    tool_name: 'refund',
    tool_input: {},
    tool_use_id: toolUseID,
  }
  const hook = hooks.PreToolUse[0]?.hooks[0]
  const answer = hook?.({ ...event, agent_type: 'Explore' }, toolUseID, { signal: new AbortController().signal })
  const id = await decideNext(world, 'approve')
  expect(await answer).toMatchObject({ hookSpecificOutput: { permissionDecision: 'allow', updatedInput: {} } })
  expect(await world.admin.record(id)).toMatchObject({
    agent: { session: 'claude-1' },
    action: { summary: expect.stringContaining('(the agent says: in /work)') },
  })
})

agentScenario('what cannot be asked about is denied: a hook that throws would let the call through', async (world) => {
  const { hooks } = guardHooks(createClient({ url: world.url, key: 'csk_wrong' }))
  const event = { ...session, hook_event_name: 'PreToolUse', tool_name: 'look', tool_input: {}, tool_use_id: toolUseID }
  const { signal } = new AbortController()
  for (const tool_input of [{}, 'a text', null, [1]])
    expect(await hooks.PreToolUse[0]?.hooks[0]?.({ ...event, tool_input }, toolUseID, { signal })).toMatchObject({
      hookSpecificOutput: { permissionDecision: 'deny' },
    })
  const stop = new AbortController()
  stop.abort()
  const { canUseTool } = guardPermissions(clientOf(world))
  expect(await canUseTool('look', {}, { signal: stop.signal, toolUseID })).toMatchObject({ behavior: 'deny' })
})

agentScenario('a hook is given more time than any wait, and blocks when it fails', async (world) => {
  const [matcher] = guardHooks(clientOf(world)).hooks.PreToolUse
  expect(matcher).toMatchObject({ onFailure: 'block', timeout: 7 * 24 * 3600 })
  expect(matcher).not.toHaveProperty('matcher')
})
