import type { Decision } from '../sdk/types.ts'
import { isUnauthenticated, messageOf, Refusal } from './api.ts'
import { type Answer, apply, type Card, canTakeSuggestion, lookUp } from './approvals.ts'
import { signedOut } from './session.ts'
import type { Stream } from './stream.ts'

const NEEDS_REASON = {
  approve: 'The rule asks for a reason to approve. Write it here; Enter then approves.',
  deny: 'The rule asks for a reason to deny. Write it here; Enter then denies.',
  suggested: 'The rule asks for a reason to approve. Write it here; Enter then approves as suggested.',
}

/** Codes that mean: it is over, and somebody or something else ended it. */
const TOO_LATE = new Set(['already_decided', 'approval_cancelled', 'approval_expired', 'already_used'])

/** Sends one decision for an open card; on any other card it does nothing. The card then tells how it went. */
export async function decide(card: Card, answer: Answer, stream: Stream): Promise<void> {
  if (card.phase.value.kind !== 'open' || card.approval.value.status !== 'pending') return
  const { suggestion } = card.approval.value
  if (answer === 'suggested' && !canTakeSuggestion(card.approval.value)) return
  const decision: Decision = answer === 'suggested' ? 'approve' : answer
  const reason = card.reason.value.trim()
  if (reason === '' && card.approval.value.reasonRequired.includes(decision)) {
    card.phase.value = { kind: 'open', alert: { text: NEEDS_REASON[answer], needs: answer } }
    return
  }
  card.phase.value = { kind: 'deciding', decision }
  try {
    apply(
      await stream.decide(card.id, decision, {
        ...(reason === '' ? {} : { reason }),
        ...(answer === 'suggested' && suggestion !== undefined ? { edits: suggestion.edits } : {}),
      }),
    )
    if (card.phase.value.kind === 'deciding') card.phase.value = { kind: 'open' }
  } catch (error) {
    await refused(card, answer, decision, error)
  }
}

async function refused(card: Card, answer: Answer, decision: Decision, error: unknown): Promise<void> {
  if (isUnauthenticated(error)) return signedOut('Your session has ended. Sign in again to decide.')
  const text = messageOf(error)
  const problem = error instanceof Refusal ? error.problem : undefined
  if (problem !== undefined && TOO_LATE.has(problem.code)) {
    if (problem.approval) apply(problem.approval)
    else await lookUp([card])
  }
  const phase = card.phase.value
  if (phase.kind === 'settled') {
    card.phase.value = { ...phase, late: `Your decision (${decision}) was not taken. ${text}` }
  } else {
    const needs = problem?.code === 'reason_required' ? { needs: answer } : {}
    card.phase.value = { kind: 'open', alert: { text, ...needs } }
  }
}
