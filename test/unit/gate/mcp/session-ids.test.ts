import { expect, it } from 'vitest'
import type { Principal } from '../../../../lib/ports/identity.ts'
import { SessionIds } from '../../../../services/gate/mcp/session-ids.ts'

const agent = (id: string, tenant = 'default'): Principal => ({
  ...{ id, name: id, tenant, role: 'agent', groups: [], email: null },
})
const ids = new SessionIds(new Uint8Array(32).fill(1))

it('opens what it sealed, for the same agent at the same server', () => {
  const sealed = ids.seal('files', agent('a'), 'session.1')
  expect(sealed).toMatch(/^[\w-]{24}\.session\.1$/)
  expect(ids.open('files', agent('a'), sealed)).toBe('session.1')
  expect(new SessionIds(new Uint8Array(32).fill(1)).open('files', agent('a'), sealed)).toBe('session.1')
})

it('knows no session of another agent, tenant, server or key, and none that was made up', () => {
  const sealed = ids.seal('files', agent('a'), 'one')
  expect(ids.open('files', agent('b'), sealed)).toBeUndefined()
  expect(ids.open('files', agent('a', 'other'), sealed)).toBeUndefined()
  expect(ids.open('wiki', agent('a'), sealed)).toBeUndefined()
  expect(new SessionIds(new Uint8Array(32).fill(2)).open('files', agent('a'), sealed)).toBeUndefined()
  for (const made of ['', 'one', '.one', `${sealed}x`, sealed.replace('.one', '.two'), 'x'.repeat(5_000)])
    expect(ids.open('files', agent('a'), made)).toBeUndefined()
})
