// An agent that knows nothing of approvals: it calls the bank through the gate, and a payment takes as long as it takes.
const { COUNTERSIGN_URL: url = 'http://127.0.0.1:4100', COUNTERSIGN_KEY: key } = process.env
if (!key) {
  console.error('Set COUNTERSIGN_KEY to an agent key (csk_…).')
  process.exit(2)
}

async function bank(method, path, body) {
  const response = await fetch(`${url}/proxy/bank${path}`, {
    method,
    headers: { 'countersign-key': key, 'content-type': 'application/json' },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  const json = await response.json()
  // A refusal is a problem (RFC 9457): `code` says which, `reason` what a person said. The bank heard nothing.
  console.log(`${method} ${path}  ${response.status}  ${json.code ?? JSON.stringify(json)}`)
}

await bank('GET', '/balance')
await bank('POST', '/payments', { to: 'c1', amount: 50 })
await bank('GET', '/balance')
