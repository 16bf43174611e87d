import type { Risk } from './events.ts'
import type { Notification, NotificationType } from './notification.ts'
import { compileGlob } from './policy/glob.ts'
import { compileFilter } from './webhook-filter.ts'

/** What a channel is told of: what webhooks filter by, and rules. Every list that is not empty must fit. */
export interface NotificationFilter {
  events: readonly NotificationType[]
  risks: readonly Risk[]
  /** Globs on the tool, or on the target of an HTTP request. */
  tools: readonly string[]
  /** Globs on the ids of the rules that asked. */
  rules: readonly string[]
}

/** The filter as a test, its globs compiled once. */
export function notificationTest(filter: NotificationFilter): (notification: Notification) => boolean {
  const fits = compileFilter(filter)
  const rules = filter.rules.map(compileGlob)
  return (notification) =>
    fits(notification) && (rules.length === 0 || rules.some((hasRule) => notification.approval.rule.ids.some(hasRule)))
}
