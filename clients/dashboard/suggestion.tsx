import type { ApprovalView } from '../sdk/types.ts'
import { Preview } from './preview.tsx'
import { Untrusted } from './text.tsx'

/** The changes to the arguments that an evaluator proposes. */
export function Suggestion({ suggestion }: { suggestion: NonNullable<ApprovalView['suggestion']> }) {
  const { by, edits, reason } = suggestion
  return (
    <section class="suggestion" aria-label="Suggested changes">
      <p>
        <b>
          <Untrusted text={by} />
        </b>{' '}
        suggests these changes to the arguments
        {reason !== undefined && (
          <>
            : <Untrusted text={reason} />
          </>
        )}
      </p>
      <Preview json={JSON.stringify(edits)} truncated={false} />
    </section>
  )
}
