import type { ApprovalView, Status } from '../sdk/types.ts'
import { Moment } from './countdown.tsx'
import { Untrusted } from './text.tsx'

type Verdict = { word: string; tone: 'yes' | 'no' | 'none' }

const VERDICTS: Record<Status, Verdict> = {
  pending: { word: 'Pending', tone: 'none' },
  approved: { word: 'Approved', tone: 'yes' },
  claimed: { word: 'Approved', tone: 'yes' },
  settled: { word: 'Approved', tone: 'yes' },
  denied: { word: 'Denied', tone: 'no' },
  expired: { word: 'Expired', tone: 'none' },
  cancelled: { word: 'Withdrawn', tone: 'none' },
}

const CHANNELS: Record<string, string> = { ws: 'WebSocket', http: 'HTTP', cli: 'CLI', slack: 'Slack', link: 'link' }

export function Badge({ status }: { status: Status }) {
  const { word, tone } = VERDICTS[status]
  return <strong class={`badge badge-${tone}`}>{word}</strong>
}

/** By whom, when, and with which words. */
export function Outcome({ approval }: { approval: ApprovalView }) {
  const { status, decidedBy, decidedAt, reason, edited } = approval
  return (
    <>
      <p class="outcome">
        <Badge status={status} />
        {status === 'expired' && <span>Nobody decided in time.</span>}
        {decidedBy.length > 0 && (
          <span>
            by{' '}
            {decidedBy.map(({ id, name, via }, index) => (
              <span key={id}>
                {index > 0 && ', '}
                <Untrusted text={name} /> <small>via {CHANNELS[via] ?? via}</small>
              </span>
            ))}
          </span>
        )}
        {decidedAt !== undefined && <Moment at={decidedAt} />}
        {edited && <span>with edited arguments</span>}
      </p>
      {reason !== undefined && (
        <blockquote class="reason">
          <Untrusted text={reason} />
        </blockquote>
      )}
      <Settlement approval={approval} />
    </>
  )
}

const SETTLEMENTS = {
  executed: 'Executed',
  failed: 'Failed',
  not_executed: 'Not executed',
  unknown: 'Nobody knows whether it ran',
}

/** What became of an approved call. */
export function Settlement({ approval: { status, settlement } }: { approval: ApprovalView }) {
  if (settlement === undefined)
    return status === 'approved' || status === 'claimed' ? <p class="settlement">No outcome was reported yet.</p> : null
  return (
    <p class={`settlement settlement-${settlement.outcome}`}>
      {SETTLEMENTS[settlement.outcome]}
      {settlement.status !== undefined && ` (${settlement.status})`}
      {settlement.detail !== undefined && (
        <>
          : <Untrusted text={settlement.detail} />
        </>
      )}
    </p>
  )
}
