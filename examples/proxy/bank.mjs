// The upstream of this example: a bank that knows one token, and says what it was asked for.
import { createServer } from 'node:http'

const { BANK_TOKEN, PORT = '4300' } = process.env
if (!BANK_TOKEN) {
  console.error('Set BANK_TOKEN to any text, the same as for countersign.')
  process.exit(2)
}

let balance = 1000
const server = createServer(async (request, response) => {
  let body = ''
  for await (const chunk of request) body += chunk
  const answer = (status, json) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(json))
  if (request.headers.authorization !== `Bearer ${BANK_TOKEN}`) return answer(401, { error: 'who are you?' })
  if (request.method === 'GET' && request.url === '/balance') return answer(200, { balance })
  if (request.method !== 'POST' || request.url !== '/payments') return answer(404, { error: 'nothing here' })
  const { to, amount } = JSON.parse(body)
  balance -= amount
  console.log(`paid     ${amount} to ${to}`)
  answer(201, { paid: amount, to, balance })
})

server.listen(Number(PORT), '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${server.address().port}`))
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => server.close())
