import type { ApprovalView } from '../sdk/types.ts'
import { Untrusted } from './text.tsx'

const GRAVITY = ['critical', 'high', 'medium', 'low']

/** What detectors and evaluators noticed, the gravest first. */
export function Findings({ findings = [] }: { findings?: NonNullable<ApprovalView['findings']> | undefined }) {
  if (findings.length === 0) return null
  const ordered = findings.toSorted((a, b) => GRAVITY.indexOf(a.severity) - GRAVITY.indexOf(b.severity))
  return (
    <>
      <dt>Noticed</dt>
      <dd class="findings">
        {ordered.map(({ detector, severity, message, path }, index) => (
          <p key={index} class={`risk-${severity}`}>
            <span class="risk">{severity}</span> <Untrusted text={message} />{' '}
            <small>
              <Untrusted text={detector} />
            </small>
            {path !== undefined && (
              <>
                {' '}
                <code>
                  <Untrusted text={path} />
                </code>
              </>
            )}
          </p>
        ))}
      </dd>
    </>
  )
}
