import { useLayoutEffect, useRef } from 'preact/hooks'
import { type Answer, type Card, canTakeSuggestion } from './approvals.ts'
import { mayDecide, voteOf } from './session.ts'
import type { Session } from './wire.ts'

const REASON_LIMIT = 2_000

export interface ReplyProps {
  card: Card
  session: Session
  onDecide: (card: Card, answer: Answer) => void
}

/** Approve, deny, and the reason. Observers, and those who voted already, see why there is nothing to press. */
export function Reply({ card, session, onDecide }: ReplyProps) {
  const field = useRef<HTMLTextAreaElement>(null)
  const approval = card.approval.value
  const phase = card.phase.value
  const alert = phase.kind === 'open' ? phase.alert : undefined
  const deciding = phase.kind === 'deciding'

  // Before the next key arrives: what follows an N is the reason, and not a command.
  useLayoutEffect(() => {
    if (alert?.needs !== undefined) field.current?.focus()
  }, [alert])

  if (!mayDecide(session)) return <p class="note">You are here as {session.role}: others decide.</p>
  const vote = voteOf(session, approval)
  if (vote !== undefined) return <p class="note">You voted to {vote.decision}. It waits for others now.</p>

  function onKeyDown(event: KeyboardEvent) {
    if (event.isComposing) return
    if (event.key === 'Escape') {
      event.preventDefault()
      field.current?.closest<HTMLElement>('article')?.focus()
    } else if (event.key === 'Enter' && !event.shiftKey && !event.repeat && alert?.needs !== undefined) {
      event.preventDefault()
      onDecide(card, alert.needs)
    }
  }

  const { reasonRequired } = approval
  const fieldId = `reason-${card.id}`
  const alertId = `alert-${card.id}`
  return (
    <div class="reply">
      <label for={fieldId}>
        Reason{' '}
        <small>{reasonRequired.length === 0 ? 'optional' : `required to ${reasonRequired.join(' and to ')}`}</small>
      </label>
      <textarea
        ref={field}
        id={fieldId}
        rows={1}
        dir="auto"
        maxLength={REASON_LIMIT}
        value={card.reason.value}
        disabled={deciding}
        aria-invalid={alert?.needs !== undefined}
        aria-describedby={alert === undefined ? undefined : alertId}
        onInput={(event) => {
          card.reason.value = event.currentTarget.value
        }}
        onKeyDown={onKeyDown}
      />
      {deciding && <output class="note">deciding…</output>}
      {alert !== undefined && (
        <p class="alert" role="alert" id={alertId}>
          {alert.text}
        </p>
      )}
      <div class="actions">
        <button type="button" class="deny" disabled={deciding} onClick={() => onDecide(card, 'deny')}>
          Deny <Key name="N" />
        </button>
        {canTakeSuggestion(approval) && (
          <button type="button" class="suggested" disabled={deciding} onClick={() => onDecide(card, 'suggested')}>
            Approve as suggested <Key name="U" />
          </button>
        )}
        <button type="button" class="approve" disabled={deciding} onClick={() => onDecide(card, 'approve')}>
          Approve <Key name="Y" />
        </button>
      </div>
    </div>
  )
}

/** Drawn only: the label of a button is what it does. */
function Key({ name }: { name: string }) {
  return (
    <span class="key" aria-hidden="true">
      {name}
    </span>
  )
}
