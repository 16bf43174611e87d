import { BaseChatModel } from '@langchain/core/language_models/chat_models'
import { AIMessage, type BaseMessage } from '@langchain/core/messages'
import type { ChatResult } from '@langchain/core/outputs'
import { Command, interrupt, MemorySaver } from '@langchain/langgraph'
import { createAgent, createMiddleware, ToolMessage, tool } from 'langchain'
import { expect } from 'vitest'
import { z } from 'zod'
import { countersignMiddleware } from '../../../clients/adapters/langchain.ts'
import {
  adapterScenarios,
  agentScenario,
  clientOf,
  decideNext,
  type MakeAgent,
  TOOLS,
} from '../../support/adapter-scenarios.ts'

/** Calls the tool, and then has nothing more to say. */
class ModelThatCalls extends BaseChatModel {
  readonly #call: { name: string; args: Record<string, unknown> }
  constructor(name: string, args: object) {
    super({})
    this.#call = { name, args: { ...args } }
  }

  override _llmType(): string {
    return 'fake'
  }

  override bindTools(): this {
    return this
  }

  override async _generate(messages: BaseMessage[]): Promise<ChatResult> {
    const isAnswered = messages.some((message) => ToolMessage.isInstance(message))
    const message = isAnswered
      ? new AIMessage('I see.')
      : new AIMessage({ content: '', tool_calls: [{ ...this.#call, id: 'call-1', type: 'tool_call' }] })
    return { generations: [{ text: '', message }] }
  }
}

/** What the model was given as the result of its call, before its last word. */
function toolMessageOf({ messages }: { messages: BaseMessage[] }): ToolMessage {
  expect(messages.at(-1)?.content).toBe('I see.')
  const found = messages.find((message) => ToolMessage.isInstance(message))
  if (!found) throw new Error('the model was told nothing')
  return found
}

const schema = z.object({ amount: z.number(), to: z.string() })
const asked = { messages: [{ role: 'user' as const, content: 'Go.' }] }

const makeAgent: MakeAgent = ({ client, run, options }) => ({
  async call(name, args) {
    const agent = createAgent({
      model: new ModelThatCalls(name, args),
      tools: TOOLS.map((each) => tool((input) => run(each, input), { name: each, schema })),
      middleware: [countersignMiddleware(client, options)],
    })
    return toolMessageOf(await agent.invoke(asked)).text
  },
})

adapterScenarios(makeAgent)

agentScenario('the thread is the session, and a denial is a tool message with an error status', async (world) => {
  const agent = createAgent({
    model: new ModelThatCalls('refund', { amount: 1, to: 'c1' }),
    tools: [tool(() => 'refunded', { name: 'refund', schema })],
    middleware: [countersignMiddleware(clientOf(world), { onDenied: ({ code }, { name }) => `${name}: ${code}` })],
  })
  const running = agent.invoke(asked, { configurable: { thread_id: 't-7' } })
  const id = await decideNext(world, 'deny')
  expect(toolMessageOf(await running)).toMatchObject({ status: 'error', content: 'refund: approval_denied' })
  expect(await world.admin.record(id)).toMatchObject({ agent: { session: 't-7' } })
})

agentScenario('only the tools that are named are guarded', async (world) => {
  const agent = createAgent({
    model: new ModelThatCalls('wipe', {}),
    tools: [tool(() => 'wiped', { name: 'wipe', schema: z.object({}) })],
    middleware: [countersignMiddleware(clientOf(world), { tools: ['refund'] })],
  })
  expect(toolMessageOf(await agent.invoke(asked)).content).toBe('wiped')
})

agentScenario('what an outer middleware makes of a call is what is asked about', async (world) => {
  const ran: unknown[] = []
  const outer = createMiddleware({
    name: 'Outer',
    wrapToolCall: (request, handler) =>
      handler({ ...request, toolCall: { ...request.toolCall, args: { amount: 2, to: 'outer' } } }),
  })
  const agent = createAgent({
    model: new ModelThatCalls('refund', { amount: 1, to: 'c1' }),
    tools: [tool((input) => ran.push(input), { name: 'refund', schema })],
    middleware: [outer, countersignMiddleware(clientOf(world))],
  })
  const running = agent.invoke(asked)
  const id = await decideNext(world, 'approve')
  await running
  expect(JSON.parse((await world.admin.record(id)).action.preview)).toEqual({ amount: 2, to: 'outer' })
  expect(ran).toEqual([{ amount: 2, to: 'outer' }])
})

agentScenario('a tool that interrupts its graph goes on with the same approval', async (world) => {
  const agent = createAgent({
    model: new ModelThatCalls('refund', { amount: 1, to: 'c1' }),
    tools: [tool(() => `refunded by ${interrupt('by whom?')}`, { name: 'refund', schema })],
    middleware: [countersignMiddleware(clientOf(world))],
    checkpointer: new MemorySaver(),
  })
  const thread = { configurable: { thread_id: 't-8' } }
  const running = agent.invoke(asked, thread)
  const id = await decideNext(world, 'approve')
  expect(await running).toHaveProperty('__interrupt__')
  expect(await world.admin.record(id)).toMatchObject({ status: 'approved' })
  expect(toolMessageOf(await agent.invoke(new Command({ resume: 'me' }), thread)).content).toBe('refunded by me')
  expect(await world.admin.record(id)).toMatchObject({ status: 'settled', settlement: { outcome: 'executed' } })
})

agentScenario('an abort stops the wait, and nothing runs', async (world) => {
  const stop = new AbortController()
  const ran: unknown[] = []
  const agent = createAgent({
    model: new ModelThatCalls('refund', { amount: 1, to: 'c1' }),
    tools: [tool((input) => ran.push(input), { name: 'refund', schema })],
    middleware: [countersignMiddleware(clientOf(world), { onPending: () => stop.abort() })],
  })
  await expect(agent.invoke(asked, { signal: stop.signal })).rejects.toThrow()
  expect(ran).toEqual([])
  expect(await world.admin.pending()).toHaveLength(1)
})
