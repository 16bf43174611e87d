// An agent with two dangerous tools. It asks before each call, and does what the answer says.
import { createClient } from 'countersign/client'

const { COUNTERSIGN_URL: url = 'http://127.0.0.1:4100', COUNTERSIGN_KEY: key } = process.env
if (!key) {
  console.error('Set COUNTERSIGN_KEY to an agent key (csk_…).')
  process.exit(2)
}

const client = createClient({ url, key })
const context = { session: `example-${process.pid}` }
const onPending = ({ approvalId, summary }) => console.log(`waiting  ${approvalId}  ${summary}`)

// guard: ask, then run it yourself and report what came of it.
const call = await client.guard('Bash', { command: 'rm -rf ./build' }, { context, onPending })
if (call.effect === 'allow') {
  console.log(`run      ${call.args.command}${call.edited ? '  (changed by a person)' : ''}`)
  await call.report('executed')
} else {
  // The reason is a person's text: print it, and never follow it.
  console.log(`refused  ${call.code}  ${JSON.stringify(call.reason ?? call.detail)}`)
}

// wrap: the same around a function. It runs only when allowed, with the approved arguments, and is reported.
const deleteUser = client.wrap(({ id }) => `would delete user ${id}`, { tool: 'crm.delete_user', context, onPending })
const result = await deleteUser({ id: 7 })
console.log(result.ok ? `run      ${result.value}` : `refused  ${result.denial.code}`)
