import { useLayoutEffect, useRef } from 'preact/hooks'
import { recent } from './approvals.ts'
import { Moment } from './countdown.tsx'
import { linked, linkedAttributes } from './linked.ts'
import { Badge, Settlement } from './outcome.tsx'
import { Untrusted } from './text.tsx'

/** What was decided lately, one line each. */
export function Recent() {
  const list = useRef<HTMLUListElement>(null)
  const isLinked = recent.value.some(({ id }) => id === linked.value)
  useLayoutEffect(() => {
    if (isLinked) list.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest' })
  }, [isLinked])

  if (recent.value.length === 0) return null
  return (
    <section class="recent" aria-labelledby="recent-title">
      <h2 id="recent-title">Recently decided</h2>
      <ul ref={list}>
        {recent.value.map((approval) => (
          <li key={approval.id} {...linkedAttributes(approval.id)}>
            <Badge status={approval.status} />
            <div class="recent-what">
              <p class="recent-summary">
                <Untrusted text={approval.action.summary} />
              </p>
              <p class="recent-who">
                <Untrusted text={approval.agent.name} />
                {approval.decidedBy.length > 0 && (
                  <>
                    , by <Untrusted text={approval.decidedBy.map(({ name }) => name).join(', ')} />
                  </>
                )}
                {approval.reason !== undefined && (
                  <>
                    : <Untrusted text={approval.reason} />
                  </>
                )}
              </p>
              <Settlement approval={approval} />
            </div>
            {approval.decidedAt !== undefined && <Moment at={approval.decidedAt} />}
          </li>
        ))}
      </ul>
    </section>
  )
}
