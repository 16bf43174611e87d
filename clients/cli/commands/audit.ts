import { Command } from 'commander'
import { auditApproval } from '../../../lib/core/audit.ts'
import { Topic } from '../../../lib/core/events.ts'
import type { Deps } from '../deps.ts'
import { CliError } from '../failure.ts'
import type { LocalData, LogLine } from '../local.ts'
import { withData } from '../options.ts'
import { jsonText, printable } from '../printable.ts'

interface Fault {
  /** The approval, or `log:<seq>`. */
  id: string
  fault: string
}

const LOG_PAGE = 500

export function auditCommand(deps: Deps): Command {
  const command = new Command('audit').description('proof that nobody changed the records')
  withData(command.command('verify'))
    .description('check every stored record against its own history and against the event log')
    .action((options: { data: string; json?: boolean }) => verify(options, deps))
  return command.addHelpText(
    'after',
    `
Exits 0 when everything holds and 1 when anything does not; each fault is printed with its approval id.

Examples:
  $ countersign audit verify
  $ countersign audit verify --json | jq -r '.faults[].id'`,
  )
}

async function verify(options: { data: string; json?: boolean }, { local, terminal }: Deps): Promise<void> {
  const data = await local.openData(options.data)
  const faults: Fault[] = []
  const counts = { records: 0, entries: 0, events: 0 }
  try {
    for await (const approval of data.records()) {
      counts.records += 1
      counts.entries += approval.history.length
      for (const fault of auditApproval(approval)) faults.push({ id: approval.id, fault })
    }
    // The log comes second: what a running server decides meanwhile is in the record before it is in the log.
    for (const entry of outcomes(data)) {
      counts.events += 1
      const fault = await faultOf(entry, data)
      if (fault) faults.push(fault)
    }
  } finally {
    await data.close()
  }

  if (options.json) terminal.out(jsonText({ ok: faults.length === 0, ...counts, faults }, 2))
  else for (const { id, fault } of faults) terminal.out(`${printable(id)}  ${printable(fault)}`)
  const told = `${count(counts.records, 'record')}, ${counts.entries} history entries, ${count(counts.events, 'logged outcome')}`
  if (faults.length > 0) throw new CliError(`${count(faults.length, 'fault')} in ${told}.`, 1)
  if (!options.json) terminal.out(`sound: ${told}`)
}

const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`

function* outcomes(data: LocalData): Generator<LogLine> {
  const topics = [Topic.decided, Topic.settled, Topic.expiring, Topic.escalated]
  let after = 0
  for (;;) {
    const page = data.log({ after, limit: LOG_PAGE, topics })
    yield* page
    const last = page.at(-1)
    if (!last) return
    after = last.seq
  }
}

/** The log vouches for the record: every outcome in it names an entry that the record must still have. */
async function faultOf(entry: LogLine, data: LocalData): Promise<Fault | undefined> {
  if (entry.error !== null) return { id: `log:${entry.seq}`, fault: `the event cannot be decoded: ${entry.error}` }
  const { id, historyHash } = entry.data as { id: string; historyHash: string | null }
  // A gate that could not reach the decider reports by the log alone.
  if (historyHash === null) return undefined
  const approval = await data.record(id)
  if (!approval) return { id, fault: `${entry.topic} is in the log, but the record is gone` }
  if (!approval.history.some(({ hash }) => hash === historyHash))
    return { id, fault: `${entry.topic} in the log names a history entry that the record does not have` }
  return undefined
}
