import { type Static, Type } from 'typebox'
import { closed } from './fields.ts'

/** `network` of countersign.yaml. */
export const NetworkFile = Type.Object(
  {
    /** Private networks (CIDR) that webhooks and callbacks may reach all the same. */
    allowPrivate: Type.Optional(Type.Array(Type.String({ maxLength: 64 }))),
  },
  closed,
)

export interface NetworkConfig {
  allowPrivate: string[]
}

export const readNetwork = (file: Static<typeof NetworkFile> = {}, _problems: string[]): NetworkConfig => ({
  allowPrivate: file.allowPrivate ?? [],
})
