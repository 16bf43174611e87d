export type ActorType = 'user' | 'system' | 'agent'
/** `link`: whoever held a link that decides, in the name of the approver whom its endpoint names. */
export type Via = 'http' | 'ws' | 'slack' | 'cli' | 'link' | 'topic' | 'grant' | 'sweeper'

/** Who did something, and through which channel. */
export interface Actor {
  id: string
  name: string
  type: ActorType
  via: Via
}

/** The agent that asked. `session` and `user` are what the agent says of itself: good for tightening, never for loosening. */
export interface AgentRef {
  id: string
  name: string
  session: string | null
  user: string | null
}

/** A person who votes: the credential's identity, never what a body claims. */
export interface Approver extends Actor {
  groups: readonly string[]
  email?: string
}

export const SWEEPER: Actor = { id: 'sweeper', name: 'sweeper', type: 'system', via: 'sweeper' }
export const GATE: Actor = { id: 'gate', name: 'gate', type: 'system', via: 'http' }
