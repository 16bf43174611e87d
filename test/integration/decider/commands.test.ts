import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { avroCodec } from '../../../lib/adapters/avro/event-codec.ts'
import { createApprovalStore } from '../../../lib/adapters/sqlite/approval-store.ts'
import { openDatabase } from '../../../lib/adapters/sqlite/database.ts'
import { createGroupCommit } from '../../../lib/adapters/sqlite/group-commit.ts'
import { createLogBus } from '../../../lib/adapters/sqlite/log-bus.ts'
import { MAIN_SCHEMA } from '../../../lib/adapters/sqlite/schema.ts'
import { type Approval, Status } from '../../../lib/core/approval.ts'
import type { Clock } from '../../../lib/ports/clock.ts'
import { systemClock } from '../../../lib/runtime/clock.ts'
import { createLogger } from '../../../lib/runtime/logger.ts'
import { createMetrics } from '../../../lib/runtime/metrics.ts'
import { consumeCommands } from '../../../services/decider/commands.ts'
import { Records } from '../../../services/decider/records.ts'
import { consumeRequests } from '../../../services/decider/requests.ts'
import { decideEvent, requestedEvent } from '../../support/approvals.ts'

test('a command that overtakes its request does not keep it from being read, and is carried out', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'countersign-commands-'))
  const db = openDatabase(join(dir, 'countersign.db'), MAIN_SCHEMA)
  const groupCommit = createGroupCommit(db)
  const bus = createLogBus({ db, groupCommit, codec: avroCodec(), clock: systemClock, source: 'test' })
  const store = createApprovalStore({ db, groupCommit })
  const log = createLogger('silent')
  const request = requestedEvent()
  // Time stands still: the wait for the request has no end but the request.
  const clock: Clock = { now: () => request.at, after: systemClock.after }

  let sought = () => {}
  const isSought = new Promise<void>((resolve) => {
    sought = resolve
  })
  let approved = (_: Approval) => {}
  const isApproved = new Promise<Approval>((resolve) => {
    approved = resolve
  })
  const records = new Records({
    store: new Proxy(store, {
      get: (target, name) => {
        if (name === 'get') sought()
        return Reflect.get(target, name)
      },
    }),
    clock,
    onWrite: (approval) => {
      if (approval.status === Status.approved) approved(approval)
    },
    isSent: () => false,
  })
  const subscriptions = await Promise.all([
    consumeRequests({ bus, records, log }),
    consumeCommands({ bus, records, log, metrics: createMetrics(), decideTopic: 'allowed' }),
  ])
  onTestFinished(async () => {
    await Promise.all(subscriptions.map((each) => each.close()))
    await bus.close()
    await store.close()
    db.close()
    rmSync(dir, { recursive: true, force: true })
  })

  await bus.publish([decideEvent(request)])
  await isSought
  await bus.publish([request])
  const by = { id: 'key_alice', name: 'alice', type: 'system', via: 'topic' }
  expect(await isApproved).toMatchObject({ id: request.data.id, version: 2, decidedBy: [by] })
})
