import type { Approval } from './approval.ts'
import type { EscalationStep, Requirement } from './events.ts'

type Terms = Pick<Approval, 'approvers' | 'requirements' | 'escalation' | 'escalatedAt'>

/** The step that comes next while nobody decides, or undefined when none is left. */
export const nextStep = ({ escalation = [], escalatedAt = [] }: Terms): EscalationStep | undefined =>
  escalation[escalatedAt.length]

/** Who may vote now: those whom the rules named, and those whom the steps taken so far added. */
export function votersOf(approval: Terms): { approvers: string[]; requirements: Requirement[] } {
  const { approvers, requirements, escalation = [], escalatedAt = [] } = approval
  const taken = escalation.slice(0, escalatedAt.length)
  if (taken.length === 0) return { approvers, requirements }
  const addedBy = (steps: readonly EscalationStep[]) => steps.flatMap((step) => step.approvers)
  return {
    approvers: widened(approvers, addedBy(taken)),
    requirements: requirements.map((requirement) => ({
      ...requirement,
      anyOf: widened(requirement.anyOf, addedBy(taken.filter(({ rule }) => rule === requirement.rule))),
    })),
  }
}

/** An empty list is open to every approver already. */
const widened = (list: string[], added: readonly string[]): string[] =>
  list.length === 0 ? list : [...new Set([...list, ...added])]

/** When people are to be warned of the timeout that runs, or null: never, or they were. */
export function warnAt({ requestedAt, expiresAt, timeoutMs, warnAfterMs, warnedAt }: Approval): number | null {
  if (typeof warnAfterMs !== 'number' || typeof warnedAt === 'number') return null
  const startedAt = timeoutMs === undefined ? requestedAt : expiresAt - timeoutMs
  const at = startedAt + warnAfterMs
  return at < expiresAt ? at : null
}

/** How long a timeout is. */
export const timeoutOf = ({ timeoutMs, expiresAt, requestedAt }: Approval): number =>
  timeoutMs ?? expiresAt - requestedAt

/** When the next step has a time of its own; null when none is left, or when it is the timeout that takes it. */
export function stepAt(approval: Approval): number | null {
  const step = nextStep(approval)
  return step !== undefined && step.afterMs < timeoutOf(approval) ? approval.requestedAt + step.afterMs : null
}

/**
 * True when the timeout does not end the record, but takes a step and begins anew. A step with a time of its own is none
 * for the timeout, however late it is.
 */
export function goesOn(approval: Approval): boolean {
  const { status, onTimeout, escalation = [], escalatedAt = [] } = approval
  if (status !== 'pending' || onTimeout !== 'escalate') return false
  return escalation.slice(escalatedAt.length).some(({ afterMs }) => afterMs >= timeoutOf(approval))
}
