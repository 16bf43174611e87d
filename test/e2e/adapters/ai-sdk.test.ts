import { generateText, type ModelMessage, stepCountIs, streamText, type ToolSet, tool } from 'ai'
import { MockLanguageModelV3, simulateReadableStream } from 'ai/test'
import { expect } from 'vitest'
import { z } from 'zod'
import { CallRefused, guardTools } from '../../../clients/adapters/ai-sdk.ts'
import {
  adapterScenarios,
  agentScenario,
  clientOf,
  decideNext,
  type MakeAgent,
  TOOLS,
} from '../../support/adapter-scenarios.ts'

const usage = {
  inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 1, text: 1, reasoning: 0 },
}

/** Calls the tool, and then has nothing more to say. */
const modelThatCalls = (toolName: string, args: object) => {
  const call = { type: 'tool-call' as const, toolCallId: 'call-1', toolName, input: JSON.stringify(args) }
  const toolCalls = { unified: 'tool-calls' as const, raw: undefined }
  const stop = { unified: 'stop' as const, raw: undefined }
  const streamed = (chunks: object[]) => ({ stream: simulateReadableStream({ chunks: chunks as never[] }) })
  return new MockLanguageModelV3({
    doGenerate: [
      { content: [call], finishReason: toolCalls, usage, warnings: [] },
      { content: [{ type: 'text', text: 'I see.' }], finishReason: stop, usage, warnings: [] },
    ],
    doStream: [
      streamed([call, { type: 'finish', finishReason: toolCalls, usage }]),
      streamed([{ type: 'finish', finishReason: stop, usage }]),
    ],
  })
}

const outputOf = (messages: ModelMessage[]) => {
  const content = messages.find(({ role }) => role === 'tool')?.content
  const [part] = Array.isArray(content) ? content : []
  return part?.type === 'tool-result' ? part.output : undefined
}

/** What the model was given as the result of its call. */
const toldOf = (messages: ModelMessage[]): string => {
  const output = outputOf(messages)
  return output && 'value' in output && typeof output.value === 'string' ? output.value : JSON.stringify(output)
}

const makeAgent: MakeAgent = ({ client, run, options }) => {
  const tools: ToolSet = Object.fromEntries(
    TOOLS.map((name) => [
      name,
      tool({
        description: `To ${name}.`,
        inputSchema: z.object({ amount: z.number(), to: z.string() }),
        execute: (args) => run(name, args),
      }),
    ]),
  )
  return {
    async call(name, args) {
      const model = modelThatCalls(name, args)
      const { response } = await generateText({
        model,
        tools: guardTools(client, tools, options),
        prompt: 'Go.',
        stopWhen: stepCountIs(3),
      })
      // The loop went on, and the model was given what the messages say.
      expect(model.doGenerateCalls).toHaveLength(2)
      return toldOf(response.messages)
    },
  }
}

adapterScenarios(makeAgent)

const refundTool = { inputSchema: z.object({ amount: z.number() }) }
const go = { prompt: 'Go.', stopWhen: stepCountIs(3) }

agentScenario('guardTools leaves the rest of a tool, and tools that run elsewhere, as they are', async (world) => {
  const tools = {
    refund: tool({ ...refundTool, description: 'Refunds.', strict: true, execute: () => 1 }),
    confirm: tool({ inputSchema: z.object({}), outputSchema: z.string() }),
  }
  const guarded = guardTools(clientOf(world), tools)
  expect(guarded.confirm).toBe(tools.confirm)
  expect(guarded.refund).toMatchObject({ description: 'Refunds.', strict: true })
  expect(guarded.refund.inputSchema).toBe(tools.refund.inputSchema)
})

agentScenario('the note on edits follows the tool’s own toModelOutput', async (world) => {
  const tools = {
    refund: tool({
      ...refundTool,
      execute: ({ amount }) => ({ amount }),
      toModelOutput: ({ output }) => ({ type: 'content', value: [{ type: 'text', text: `sent ${output.amount}` }] }),
    }),
  }
  const running = generateText({
    ...go,
    model: modelThatCalls('refund', { amount: 9 }),
    tools: guardTools(clientOf(world), tools),
  })
  await decideNext(world, 'approve', { edits: { amount: 8 } })
  const { steps, response } = await running
  // The program gets the tool's own output; the note is the model's alone.
  expect(steps[0]?.toolResults[0]?.output).toEqual({ amount: 8 })
  expect(outputOf(response.messages)).toMatchObject({
    type: 'content',
    value: [{ text: 'sent 8' }, { text: expect.stringContaining('changed its arguments') }],
  })
})

agentScenario('a note on edits is not told of a later call with the same id', async (world) => {
  const tools = guardTools(clientOf(world), { refund: tool({ ...refundTool, execute: () => 'refunded' }) })
  const run = () => generateText({ ...go, model: modelThatCalls('refund', { amount: 9 }), tools })
  const edited = run()
  await decideNext(world, 'approve', { edits: { amount: 8 } })
  expect(toldOf((await edited).response.messages)).toContain('changed its arguments')
  const asItWas = run()
  await decideNext(world, 'approve')
  expect(toldOf((await asItWas).response.messages)).toBe('refunded')
})

agentScenario('a denial is a tool error that the program can tell; onDenied makes it an output', async (world) => {
  const tools = { wipe: tool({ inputSchema: z.object({}), execute: () => 'wiped' }) }
  const client = clientOf(world)
  const thrown = await generateText({ ...go, model: modelThatCalls('wipe', {}), tools: guardTools(client, tools) })
  const error = thrown.steps[0]?.content.find((part) => part.type === 'tool-error')?.error
  expect(error).toBeInstanceOf(CallRefused)
  expect(error).toMatchObject({ denial: { code: 'policy_denied' } })

  const returned = await generateText({
    ...go,
    model: modelThatCalls('wipe', {}),
    tools: guardTools(client, tools, { onDenied: ({ code }, { toolName }) => `${toolName}: ${code}` }),
  })
  expect(returned.steps[0]?.toolResults[0]?.output).toBe('wipe: policy_denied')
})

agentScenario('a tool that streams goes on streaming, and is reported at its end', async (world) => {
  const tools = {
    refund: tool({
      ...refundTool,
      async *execute({ amount }) {
        yield `refunding ${amount}`
        yield `refunded ${amount}`
      },
    }),
  }
  const result = streamText({
    ...go,
    model: modelThatCalls('refund', { amount: 3 }),
    tools: guardTools(clientOf(world), tools, { context: ({ toolCallId }) => ({ session: toolCallId }) }),
  })
  const outputs: unknown[] = []
  const reading = (async () => {
    for await (const part of result.fullStream)
      if (part.type === 'tool-result') outputs.push([part.preliminary, part.output])
  })()
  const id = await decideNext(world, 'approve')
  await reading
  expect(outputs).toEqual([
    [true, 'refunding 3'],
    [true, 'refunded 3'],
    [undefined, 'refunded 3'],
  ])
  expect(await world.admin.record(id)).toMatchObject({
    agent: { session: 'call-1' },
    settlement: { outcome: 'executed' },
  })
})

agentScenario('an abort stops the wait, and nothing runs', async (world) => {
  const stop = new AbortController()
  const ran: unknown[] = []
  const tools = { refund: tool({ ...refundTool, execute: (args) => ran.push(args) }) }
  const running = generateText({
    ...go,
    abortSignal: stop.signal,
    model: modelThatCalls('refund', { amount: 3 }),
    tools: guardTools(clientOf(world), tools, { onPending: () => stop.abort() }),
  })
  await running.catch(() => {})
  expect(ran).toEqual([])
  expect(await world.admin.pending()).toHaveLength(1)
})
