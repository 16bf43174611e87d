import type { Actor } from './actor.ts'

/** Names on the topic are claimed, not proven. */
export const isByTopic = ({ via }: Actor): boolean => via === 'topic'

/** Whoever may write to the topic can give any name there: all that comes from it is one voter. */
export const isSameVoter = (one: Actor, other: Actor): boolean =>
  isByTopic(one) || isByTopic(other) ? isByTopic(one) && isByTopic(other) : one.name === other.name
