import { type Static, Type } from 'typebox'
import { closed, Name } from './fields.ts'

/** `mcp` of countersign.yaml: the servers behind `/mcp/{server}`. */
export const McpFile = Type.Record(
  Name,
  Type.Object({ url: Type.Optional(Type.String({ pattern: '^https?://' })) }, closed),
)

export interface McpServer {
  name: string
  url: string | undefined
}

export const readMcp = (file: Static<typeof McpFile> = {}, _problems: string[]): McpServer[] =>
  Object.entries(file).map(([name, { url }]) => ({ name, url }))
