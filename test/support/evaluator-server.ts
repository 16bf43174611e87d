import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

/** A question as it came over the wire. */
export interface Asked {
  path: string
  headers: IncomingHttpHeaders
  text: string
  body: { type: string; timestamp: string; data: Record<string, never> }
}

export interface EvaluatorServer {
  url: string
  asked: Asked[]
  /** What it answers from now on: a body with status 200, or by hand. */
  answer: object | ((response: ServerResponse) => void)
}

/** A real evaluator on loopback, ended with the test. */
export async function startEvaluator(answer: EvaluatorServer['answer']): Promise<EvaluatorServer> {
  const started: EvaluatorServer = { url: '', asked: [], answer }
  const server = createServer((request, response) => {
    let text = ''
    request.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
    request.on('end', () => {
      const { answer } = started
      started.asked.push({ path: request.url ?? '', headers: request.headers, text, body: JSON.parse(text) })
      if (typeof answer === 'function') return answer(response)
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify(answer))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  started.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/evaluate`
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return started
}
