// An approver that is a program: it decides what its own rule is sure about, and leaves the rest to people.
import { createClient } from 'countersign/client'

const { COUNTERSIGN_URL: url = 'http://127.0.0.1:4100', COUNTERSIGN_TOKEN: key } = process.env
if (!key) {
  console.error('Set COUNTERSIGN_TOKEN to an approver token (cst_…).')
  process.exit(2)
}

const client = createClient({ url, key })

/** What to do with an approval, or undefined to leave it to a person. Previews are redacted, and may be cut short. */
function judge({ action: { tool, preview, previewTruncated } }) {
  if (previewTruncated) return undefined
  const args = JSON.parse(preview)
  if (tool === 'Bash' && args.command === 'rm -rf ./build') return { decision: 'approve', reason: 'build output' }
  if (tool === 'crm.delete_user') return { decision: 'deny', reason: 'users are never deleted by agents' }
  return undefined
}

const stop = client.approvals.onPending(
  async (approval) => {
    const verdict = judge(approval)
    if (!verdict) return console.log(`left     ${approval.id}  ${approval.action.summary}`)
    const { decision, reason } = verdict
    await client.approvals.decide(approval.id, decision, { reason })
    console.log(`${decision.padEnd(7)}  ${approval.id}  ${approval.action.summary}`)
  },
  {
    // Somebody may have been faster (409); an outage is retried; what cannot pass ends the watch.
    onError: (error) => {
      console.error(error.message)
      if (error.status !== 409 && error.retryable === false) process.exitCode = 1
    },
  },
)

console.log('watching')
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop)
