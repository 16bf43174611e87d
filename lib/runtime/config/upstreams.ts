import { type Static, Type } from 'typebox'
import { closed, Name } from './fields.ts'

/** `upstreams` of countersign.yaml: where `/proxy/{upstream}/…` leads. */
export const UpstreamsFile = Type.Record(
  Name,
  Type.Object(
    {
      url: Type.String({ pattern: '^https?://' }),
      headers: Type.Optional(Type.Record(Type.String(), Type.String())),
    },
    closed,
  ),
)

export interface Upstream {
  name: string
  url: string
  /** What the gate adds, so that the agent never has the credential. Names in lower case. */
  headers: Record<string, string>
}

export const readUpstreams = (file: Static<typeof UpstreamsFile> = {}, _problems: string[]): Upstream[] =>
  Object.entries(file).map(([name, { url, headers = {} }]) => ({ name, url, headers }))
