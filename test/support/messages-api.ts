import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

interface Turn {
  tools?: { name: string }[]
  messages?: { content: unknown }[]
}

/**
 * A model behind Anthropic's Messages API: it calls the tool, and then has nothing more to say. `told` is the message
 * that held the result of its call, as JSON.
 */
export async function startMessagesApi(call: { name: string; input: object }) {
  let told = ''
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request) text += chunk
    if (request.method !== 'POST' || !request.url?.startsWith('/v1/messages?'))
      return void response.writeHead(404).end()
    const { tools = [], messages = [] } = JSON.parse(text) as Turn
    const last = JSON.stringify(messages.at(-1)?.content ?? '')
    const isAnswer = last.includes('"tool_result"')
    if (isAnswer) told = last
    const calls = !isAnswer && tools.some(({ name }) => name === call.name)
    const send = (type: string, data: object) =>
      response.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`)
    const usage = { input_tokens: 1, output_tokens: 1 }
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    send('message_start', {
      message: {
        id: 'msg_1',
        type: 'message',
        role: 'assistant',
        model: 'fake',
        content: [],
        stop_reason: null,
        usage,
      },
    })
    send('content_block_start', {
      index: 0,
      content_block: calls
        ? { type: 'tool_use', id: 'toolu_1', name: call.name, input: {} }
        : { type: 'text', text: '' },
    })
    send('content_block_delta', {
      index: 0,
      delta: calls
        ? { type: 'input_json_delta', partial_json: JSON.stringify(call.input) }
        : { type: 'text_delta', text: 'I see.' },
    })
    send('content_block_stop', { index: 0 })
    send('message_delta', { delta: { stop_reason: calls ? 'tool_use' : 'end_turn', stop_sequence: null }, usage })
    send('message_stop', {})
    response.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, told: () => told }
}
