import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'

/**
 * Twenty receivers of webhooks in a process of their own, as the world is: eleven take everything, five answer 500, three
 * never answer, one redirects to an address that nobody may reach. Says `ready <url>`; GET there tells the URLs and how
 * many requests each had.
 */
const counts: number[] = []
const urls: string[] = []

const KINDS: [count: number, answer: RequestListener][] = [
  [11, (_request, response) => response.writeHead(204).end()],
  [5, (_request, response) => response.writeHead(500).end()],
  [3, () => {}],
  [1, (_request, response) => response.writeHead(307, { location: 'http://127.0.0.2:9/' }).end()],
]

const listen = (answer: RequestListener): Promise<string> =>
  new Promise((resolve) => {
    const server = createServer(answer).listen(0, '127.0.0.1', () =>
      resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    )
  })

for (const [count, answer] of KINDS)
  for (let each = 0; each < count; each++) {
    const index = urls.length
    counts.push(0)
    urls.push(
      await listen((request, response) => {
        request.resume().on('end', () => {
          counts[index] = (counts[index] ?? 0) + 1
          answer(request, response)
        })
      }),
    )
  }
const control = await listen((_request, response) =>
  response.end(JSON.stringify({ urls, counts, good: KINDS[0]?.[0] })),
)
console.log(`ready ${control}`)
