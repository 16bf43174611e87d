// An MCP client: it connects to the gate in place of the server, and calls tools as ever.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'

const { COUNTERSIGN_URL: url = 'http://127.0.0.1:4100', COUNTERSIGN_KEY: key } = process.env
if (!key) {
  console.error('Set COUNTERSIGN_KEY to an agent key (csk_…).')
  process.exit(2)
}

const client = new Client({ name: 'example', version: '1.0.0' })
await client.connect(
  new StreamableHTTPClientTransport(new URL(`${url}/mcp/files`), {
    requestInit: { headers: { authorization: `Bearer ${key}` } },
  }),
)

/** Progress comes while a person is being asked: it keeps the client from giving up. */
const waiting = { onprogress: ({ message }) => console.log(`waiting  ${message}`), resetTimeoutOnProgress: true }

async function call(name, args) {
  const { isError, content } = await client.callTool({ name, arguments: args }, waiting)
  // A refusal is a result too: a model reads why.
  console.log(`${isError ? 'refused' : 'done   '}  ${name}  ${content.map(({ text }) => text).join(' ')}`)
}

const { tools } = await client.listTools()
console.log(`tools    ${tools.map(({ name }) => name).join(', ')}`)

const [folder] = (await client.callTool({ name: 'list_allowed_directories', arguments: {} })).content[0].text
  .split('\n')
  .slice(1)
await call('write_file', { path: `${folder}/hello.txt`, content: 'Hello!\n' })
await call('read_text_file', { path: `${folder}/hello.txt` })
await client.close()
