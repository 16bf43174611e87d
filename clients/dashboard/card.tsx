import { useLayoutEffect, useRef } from 'preact/hooks'
import type { ApprovalView } from '../sdk/types.ts'
import type { Answer, Card } from './approvals.ts'
import { Countdown, Moment } from './countdown.tsx'
import { Findings } from './findings.tsx'
import { cardAttributes } from './keys.ts'
import { linked, linkedAttributes } from './linked.ts'
import { Outcome } from './outcome.tsx'
import { Preview } from './preview.tsx'
import { Reply } from './reply.tsx'
import { Suggestion } from './suggestion.tsx'
import { Untrusted } from './text.tsx'
import type { Session } from './wire.ts'

export interface CardProps {
  card: Card
  session: Session
  onDecide: (card: Card, answer: Answer) => void
  onDismiss: (card: Card) => void
}

/** One request: who asks for what and why, and what may be answered. */
export function CardView({ card, session, onDecide, onDismiss }: CardProps) {
  const article = useRef<HTMLElement>(null)
  const approval = card.approval.value
  const phase = card.phase.value
  const titleId = `title-${card.id}`

  // Fields and buttons go away with a decision; whoever used them stays on the card. Read before they are gone.
  const focused = article.current?.contains(document.activeElement) === true
  useLayoutEffect(() => {
    if (phase.kind !== 'open' && focused) article.current?.focus({ preventScroll: true })
  }, [phase.kind])

  // Shown, but not focused: the next key that is pressed must not decide.
  const isLinked = linked.value === card.id
  useLayoutEffect(() => {
    if (isLinked) article.current?.scrollIntoView({ block: 'start' })
  }, [isLinked])

  return (
    <article
      ref={article}
      class={`card risk-${approval.risk} phase-${phase.kind}`}
      aria-labelledby={titleId}
      aria-busy={phase.kind === 'deciding'}
      {...cardAttributes(card.id)}
      {...linkedAttributes(card.id)}
    >
      <header class="card-top">
        <span class="risk">{approval.risk} risk</span>
        {phase.kind === 'settled' ? (
          <button type="button" class="quiet" onClick={() => onDismiss(card)}>
            Dismiss
          </button>
        ) : (
          <Countdown
            requestedAt={approval.requestedAt}
            expiresAt={approval.expiresAt}
            warned={approval.warnedAt !== undefined}
          />
        )}
      </header>
      <p class="asks">
        <Asks approval={approval} />
      </p>
      <h3 id={titleId}>
        <Untrusted text={approval.action.summary} />
      </h3>
      <dl class="facts">
        <dt>Why asked</dt>
        <dd>
          {approval.rule.why.map((line) => (
            <p key={line}>
              <Untrusted text={line} />
            </p>
          ))}
          <p class="rule">
            {approval.rule.ids.length > 1 ? 'rules' : 'rule'}{' '}
            {(approval.rule.ids.length > 0 ? approval.rule.ids : [approval.rule.id]).map((id) => (
              <code key={id}>
                <Untrusted text={id} />
              </code>
            ))}
          </p>
        </dd>
        <Findings findings={approval.findings} />
        <Approvers requirements={approval.requirements} />
        <Escalated steps={approval.escalated} />
        {phase.kind !== 'settled' && <Votes approval={approval} />}
      </dl>
      <Preview json={approval.action.preview} truncated={approval.action.previewTruncated} />
      {approval.suggestion !== undefined && <Suggestion suggestion={approval.suggestion} />}
      {phase.kind === 'settled' ? (
        <div class="settled">
          {phase.late !== undefined && (
            <p class="alert" role="alert">
              {phase.late}
            </p>
          )}
          <Outcome approval={approval} />
        </div>
      ) : (
        <Reply card={card} session={session} onDecide={onDecide} />
      )}
      <footer class="card-foot">
        <code>{card.id}</code>
        <span>
          asked <Moment at={approval.requestedAt} />
        </span>
      </footer>
    </article>
  )
}

function Asks({ approval: { agent, action } }: { approval: ApprovalView }) {
  const verb = action.tool === undefined ? 'wants to send' : 'wants to run'
  const what = action.tool ?? [action.method, action.target].filter((part) => part !== undefined).join(' ')
  return (
    <>
      <b>
        <Untrusted text={agent.name} />
      </b>{' '}
      {verb}{' '}
      <code>
        <Untrusted text={what} />
      </code>
      {agent.user !== undefined && (
        <>
          {' '}
          on behalf of <Untrusted text={agent.user} />
        </>
      )}
      {agent.session !== undefined && (
        <small>
          session <Untrusted text={agent.session} />
        </small>
      )}
    </>
  )
}

/** Who must approve: a line for each rule that names somebody. */
function Approvers({ requirements }: { requirements: ApprovalView['requirements'] }) {
  const named = requirements.filter(({ anyOf }) => anyOf.length > 0)
  if (named.length === 0) return null
  return (
    <>
      <dt>For</dt>
      <dd>
        {named.map(({ rule, anyOf, approve }) => (
          <p key={rule}>
            {approve > 1 && `${approve} of `}
            <People names={anyOf} />
          </p>
        ))}
      </dd>
    </>
  )
}

/** Nobody decided so far: since when others may, and who. */
function Escalated({ steps = [] }: { steps: ApprovalView['escalated'] }) {
  if (steps.length === 0) return null
  return (
    <>
      <dt>Escalated</dt>
      <dd>
        {steps.map(({ at, approvers }) => (
          <p key={at}>
            at <Moment at={at} />
            {approvers.length > 0 && ' to '}
            <People names={approvers} />
          </p>
        ))}
      </dd>
    </>
  )
}

function People({ names }: { names: readonly string[] }) {
  return (
    <>
      {names.map((entry, index) => (
        <span key={entry}>
          {index > 0 && ', '}
          {entry.startsWith('group:') && 'group '}
          <Untrusted text={entry.replace(/^group:/, '')} />
        </span>
      ))}
    </>
  )
}

function Votes({ approval: { threshold, votes } }: { approval: ApprovalView }) {
  if (threshold.approve < 2 && threshold.deny < 2) return null
  const approvals = votes.filter(({ decision }) => decision === 'approve').length
  return (
    <>
      <dt>Votes</dt>
      <dd>
        <p>
          {approvals} of {threshold.approve} approvals
          {threshold.deny > 1 && `, ${votes.length - approvals} of ${threshold.deny} denials`}
        </p>
        {votes.map(({ by, decision, reason, at }) => (
          <p key={by.id}>
            <Untrusted text={by.name} /> voted to {decision} at <Moment at={at} />
            {reason !== undefined && (
              <>
                : <Untrusted text={reason} />
              </>
            )}
          </p>
        ))}
      </dd>
    </>
  )
}
