import type { Risk } from './events.ts'
import type { Notification, NotificationType } from './notification.ts'
import { compileGlob } from './policy/glob.ts'

/** Whether a notification fits an endpoint's filter: each list that is not empty must have it. */
export function compileFilter(filter: {
  events: readonly NotificationType[]
  tools: readonly string[]
  risks: readonly Risk[]
}): (notification: Pick<Notification, 'type' | 'approval'>) => boolean {
  const { events, risks } = filter
  const globs = filter.tools.map(compileGlob)
  return ({ type, approval }) => {
    const { tool, target } = approval.action
    return (
      (events.length === 0 || events.includes(type)) &&
      (risks.length === 0 || risks.includes(approval.risk)) &&
      (globs.length === 0 || [tool, target].some((name) => name !== undefined && globs.some((fits) => fits(name))))
    )
  }
}
