import { McpServer } from '@modelcontextprotocol/server'
import { z } from 'zod'

/** What a tool was called with. */
export interface ToolCall {
  tool: string
  args: unknown
}

/** An MCP server with a tool for each situation that tests need. `record` hears every call before it runs. */
export function createTools(record: (call: ToolCall) => void): McpServer {
  const server = new McpServer({ name: 'tools', version: '1.0.0' }, { capabilities: { logging: {} } })
  const text = (words: string) => ({ content: [{ type: 'text' as const, text: words }] })

  server.registerTool(
    'read',
    { description: 'Reads.', inputSchema: z.object({ path: z.string() }), annotations: { readOnlyHint: true } },
    async (args) => {
      record({ tool: 'read', args })
      return text(`contents of ${args.path}`)
    },
  )
  server.registerTool(
    'write',
    { description: 'Writes.', inputSchema: z.object({ path: z.string(), text: z.string() }) },
    async (args) => {
      record({ tool: 'write', args })
      return text(`wrote ${args.text.length} characters to ${args.path}`)
    },
  )
  server.registerTool('drop', { description: 'Drops.', inputSchema: z.object({}) }, async (args) => {
    record({ tool: 'drop', args })
    return text('dropped')
  })
  server.registerTool('fail', { description: 'Fails.', inputSchema: z.object({}) }, async (args) => {
    record({ tool: 'fail', args })
    return { ...text('the disk is full'), isError: true }
  })
  server.registerTool('pid', { description: 'Says who runs it.', inputSchema: z.object({}) }, async (args) => {
    record({ tool: 'pid', args })
    return text(`${process.pid} ${Object.keys(process.env).sort().join(',')}`)
  })
  server.registerTool('crash', { description: 'Ends the process.', inputSchema: z.object({}) }, async (args) => {
    record({ tool: 'crash', args })
    process.exit(1)
  })
  server.registerTool(
    'ask',
    { description: 'Asks its user.', inputSchema: z.object({ question: z.string() }) },
    async (args, { mcpReq }) => {
      record({ tool: 'ask', args })
      const answer = await mcpReq.elicitInput({
        message: args.question,
        requestedSchema: { type: 'object', properties: { word: { type: 'string' } }, required: ['word'] },
      })
      return text(`the user said ${JSON.stringify(answer.content ?? null)}`)
    },
  )
  server.registerTool(
    'steps',
    { description: 'Works in steps.', inputSchema: z.object({}) },
    async (args, { mcpReq }) => {
      record({ tool: 'steps', args })
      const progressToken = mcpReq._meta?.progressToken
      for (const progress of [1, 2, 3])
        if (progressToken !== undefined)
          await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total: 3 } })
      return text('done')
    },
  )
  server.registerTool('grow', { description: 'Adds a tool.', inputSchema: z.object({}) }, async (args) => {
    record({ tool: 'grow', args })
    server.registerTool('late', { inputSchema: z.object({}), annotations: { readOnlyHint: true } }, async (more) => {
      record({ tool: 'late', args: more })
      return text('late')
    })
    return text('grown')
  })
  return server
}
