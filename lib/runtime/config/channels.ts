import { type Static, Type } from 'typebox'
import { closed, Name } from './fields.ts'

/** `channels` of countersign.yaml: e-mail, push and chat, each told of approvals. */
export const ChannelsFile = Type.Array(Type.Object({ id: Name, type: Type.String() }, closed))

export interface ChannelConfig {
  id: string
  type: string
}

export const readChannels = (file: Static<typeof ChannelsFile> = [], _problems: string[]): ChannelConfig[] => file
