import { appendFileSync } from 'node:fs'
import { StdioServerTransport } from '@modelcontextprotocol/server/stdio'
import { createTools } from './mcp-tools.ts'

// Run as a process of its own: `mcp-stdio-server.ts FILE` records its calls in the file, a line each.
const [, , file = ''] = process.argv
console.error('the server has a token=sk-ant-api03-abcdefghijklmnopqrstuvwxyz0123456789 and says so')
await createTools((call) => appendFileSync(file, `${JSON.stringify(call)}\n`)).connect(new StdioServerTransport())
