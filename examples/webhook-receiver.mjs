// Receives webhooks: trusts no body before its signature (standardwebhooks.com), takes each once, answers at once.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'

const { WEBHOOK_SECRET = '', PORT = '4200' } = process.env
if (!WEBHOOK_SECRET.startsWith('whsec_')) {
  console.error('Set WEBHOOK_SECRET to the secret of the webhook (whsec_…).')
  process.exit(2)
}

const KEY = Buffer.from(WEBHOOK_SECRET.slice('whsec_'.length), 'base64')
const WINDOW_SECONDS = 5 * 60
const MAX_BYTES = 64 * 1024

/** What is wrong with a delivery, or undefined. */
function flawOf({ id, timestamp, signatures, body }) {
  if (!id || !/^\d+$/.test(timestamp) || !signatures) return 'webhook headers are missing'
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > WINDOW_SECONDS) return 'too old, or from the future'
  const expected = createHmac('sha256', KEY).update(`${id}.${timestamp}.`).update(body).digest()
  // During a rotation there are several; one that fits is enough.
  const fits = signatures.split(' ').some((each) => {
    const [version, text = ''] = each.split(',')
    const given = Buffer.from(text, 'base64')
    return version === 'v1' && given.length === expected.length && timingSafeEqual(given, expected)
  })
  return fits ? undefined : 'the signature is wrong'
}

/** Ids of the last deliveries: a sender that heard no answer sends again. Keep them in your database if it matters. */
const seen = new Set()
function isNew(id) {
  if (seen.has(id)) return false
  seen.add(id)
  if (seen.size > 10_000) seen.delete(seen.values().next().value)
  return true
}

/** Yours to write. Slow work belongs into a queue: the sender has been answered already. */
function handle({ type, data }) {
  console.log(`${type}  ${data.id}  ${data.status}  ${JSON.stringify(data.action.summary)}`)
}

async function receive(request, response) {
  const answer = (status, text = '') => response.writeHead(status, { connection: 'close' }).end(text)
  const chunks = []
  let size = 0
  for await (const chunk of request) {
    size += chunk.length
    if (size > MAX_BYTES) return answer(413)
    chunks.push(chunk)
  }
  // The bytes as they came: parsed and written again, they would have another signature.
  const body = Buffer.concat(chunks)
  const header = (name) => request.headers[name] ?? ''
  const id = header('webhook-id')
  const flaw = flawOf({ id, timestamp: header('webhook-timestamp'), signatures: header('webhook-signature'), body })
  if (flaw) {
    console.error(`refused  ${flaw}`)
    return answer(401, flaw)
  }
  answer(204)
  if (isNew(id)) handle(JSON.parse(body))
}

const server = createServer((request, response) => {
  receive(request, response).catch((error) => {
    console.error(`failed   ${error.message}`)
    response.destroy()
  })
})

server.listen(Number(PORT), '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${server.address().port}`))
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => server.close())
