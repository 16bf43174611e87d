// An agent of the AI SDK (https://ai-sdk.dev) with one dangerous tool, which runs only as far as a person allows.
import { generateText, stepCountIs, tool } from 'ai'
import { guardTools } from 'countersign/ai-sdk'
import { createClient } from 'countersign/client'
import { z } from 'zod'
import { scriptedModel } from './scripted-model.mjs'

const { COUNTERSIGN_URL: url = 'http://127.0.0.1:4100', COUNTERSIGN_KEY: key, MODEL } = process.env
if (!key) {
  console.error('Set COUNTERSIGN_KEY to an agent key (csk_…).')
  process.exit(2)
}

const bash = tool({
  description: 'Runs a command.',
  inputSchema: z.object({ command: z.string() }),
  execute: ({ command }) => `would run ${command}`,
})

const tools = guardTools(
  createClient({ url, key }),
  { Bash: bash },
  {
    context: { session: `example-${process.pid}` },
    onPending: ({ approvalId, summary }) => console.log(`waiting  ${approvalId}  ${summary}`),
  },
)

const { text } = await generateText({
  // MODEL names one of the AI Gateway, which wants AI_GATEWAY_API_KEY; without, a script takes the model's place.
  model: MODEL ?? scriptedModel({ toolName: 'Bash', input: { command: 'rm -rf ./build' } }),
  tools,
  prompt: 'Delete the folder ./build.',
  stopWhen: stepCountIs(5),
})
console.log(text)
