import { MockLanguageModelV3 } from 'ai/test'

const tokens = { inputTokens: {}, outputTokens: {} }

/** Takes a model's place where there is no key for one: calls one tool, and then says what it was told. */
export const scriptedModel = ({ toolName, input }) =>
  new MockLanguageModelV3({
    async doGenerate({ prompt }) {
      const last = prompt.at(-1)
      const said =
        last.role === 'tool'
          ? { type: 'text', text: `I was told: ${last.content[0].output.value}` }
          : { type: 'tool-call', toolCallId: `call-${process.pid}`, toolName, input: JSON.stringify(input) }
      const finishReason = { unified: said.type === 'text' ? 'stop' : 'tool-calls' }
      return { content: [said], finishReason, usage: tokens, warnings: [] }
    },
  })
