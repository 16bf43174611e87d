import {
  Agent,
  type AgentInputItem,
  type Model,
  type ModelRequest,
  type ModelResponse,
  Runner,
  type Tool,
  tool,
  Usage,
} from '@openai/agents-core'
import { expect } from 'vitest'
import { z } from 'zod'
import { guardTool } from '../../../clients/adapters/openai-agents.ts'
import {
  adapterScenarios,
  agentScenario,
  clientOf,
  decideNext,
  type MakeAgent,
  TOOLS,
} from '../../support/adapter-scenarios.ts'

/** Calls the tool, and then has nothing more to say. */
class ModelThatCalls implements Model {
  readonly #call: { name: string; arguments: string }
  constructor(name: string, args: object) {
    this.#call = { name, arguments: JSON.stringify(args) }
  }

  async getResponse({ input }: ModelRequest): Promise<ModelResponse> {
    const isAnswered = typeof input !== 'string' && input.some(({ type }) => type === 'function_call_result')
    return {
      usage: new Usage(),
      output: isAnswered
        ? [
            {
              type: 'message',
              role: 'assistant',
              status: 'completed',
              content: [{ type: 'output_text', text: 'I see.' }],
            },
          ]
        : [{ type: 'function_call', callId: 'call-1', status: 'completed', ...this.#call }],
    }
  }

  // biome-ignore lint/correctness/useYield: nothing here streams.
  async *getStreamedResponse(): AsyncGenerator<never> {
    throw new Error('does not stream')
  }
}

const runner = new Runner({ tracingDisabled: true })

async function runAgent(tools: Tool[], call: { name: string; args: object; signal?: AbortSignal; context?: object }) {
  const agent = new Agent({ name: 'teller', model: new ModelThatCalls(call.name, call.args), tools })
  const { finalOutput, history } = await runner.run(agent, 'Go.', {
    ...(call.signal ? { signal: call.signal } : {}),
    ...(call.context ? { context: call.context } : {}),
  })
  expect(finalOutput).toBe('I see.')
  return toldOf(history)
}

/** What the model was given as the result of its call. */
function toldOf(history: AgentInputItem[]): string {
  const result = history.find(({ type }) => type === 'function_call_result')
  const output = result && 'output' in result ? result.output : undefined
  return typeof output === 'object' && output !== null && 'text' in output
    ? String(output.text)
    : JSON.stringify(output)
}

const parameters = z.object({ amount: z.number(), to: z.string() })
const args = { amount: 50, to: 'c1' }

const makeAgent: MakeAgent = ({ client, run, options }) => ({
  call: (name, asked) =>
    runAgent(
      TOOLS.map((each) =>
        guardTool(client, { name: each, description: '', parameters, execute: (input) => run(each, input) }, options),
      ),
      { name, args: asked },
    ),
})

adapterScenarios(makeAgent)

agentScenario('a finished tool can be guarded too', async (world) => {
  const ran: unknown[] = []
  const refund = tool({
    name: 'refund',
    description: '',
    parameters,
    execute: (input) => `${ran.push(input)} refunded`,
  })
  const told = runAgent([guardTool(clientOf(world), refund)], { name: 'refund', args })
  const id = await decideNext(world, 'approve', { edits: { amount: 5 } })
  expect(await told).toMatch(/^1 refunded\n\n.*changed its arguments/)
  expect(ran).toEqual([{ amount: 5, to: 'c1' }])
  expect(await world.admin.record(id)).toMatchObject({ settlement: { outcome: 'executed' } })
})

agentScenario('the context of a run speaks for its calls; onDenied words the denial', async (world) => {
  const refund = guardTool(
    clientOf(world),
    { name: 'refund', description: '', parameters, execute: () => 'refunded' },
    {
      context: ({ runContext }) => ({ session: (runContext.context as { chat: string }).chat }),
      onDenied: ({ code }, { toolName, callId }) => `${toolName} ${callId}: ${code}`,
    },
  )
  const told = runAgent([refund], { name: 'refund', args, context: { chat: 'c-9' } })
  const id = await decideNext(world, 'deny')
  expect(await told).toBe('refund call-1: approval_denied')
  expect(await world.admin.record(id)).toMatchObject({ agent: { session: 'c-9' } })
})

agentScenario(
  'the time that a person takes is not the tool’s; a tool cut short is on record as failed',
  async (world) => {
    let stopped = () => {}
    const hangs = new Promise<string>((resolve) => {
      stopped = () => resolve('stopped')
    })
    const options = { name: 'refund', description: '', parameters, timeoutMs: 1, execute: () => hangs }
    const told = runAgent([guardTool(clientOf(world), options)], { name: 'refund', args })
    const id = await decideNext(world, 'approve')
    expect(await told).toContain('timed out')
    stopped()
    expect(await world.admin.record(id)).toMatchObject({ settlement: { outcome: 'failed' } })
  },
)

agentScenario('a tool with an output schema gives its own answer to a denial', async (world) => {
  const wipe = guardTool(clientOf(world), {
    name: 'wipe',
    description: '',
    parameters: z.object({}),
    outputSchema: z.object({ done: z.boolean(), why: z.string() }),
    execute: () => ({ done: true, why: '' }),
    errorFunction: (_context, error) => ({ done: false, why: error instanceof Error ? error.name : '' }),
  })
  expect(JSON.parse(await runAgent([wipe], { name: 'wipe', args: {} }))).toEqual({ done: false, why: 'CallRefused' })
})

agentScenario('an abort stops the wait, and nothing runs', async (world) => {
  const stop = new AbortController()
  const ran: unknown[] = []
  const refund = guardTool(
    clientOf(world),
    { name: 'refund', description: '', parameters, execute: (input) => ran.push(input) },
    { onPending: () => stop.abort() },
  )
  await expect(runAgent([refund], { name: 'refund', args, signal: stop.signal })).rejects.toThrow()
  expect(ran).toEqual([])
  expect(await world.admin.pending()).toHaveLength(1)
})
