import { expect, it } from 'vitest'
import { ToolBook } from '../../../../services/gate/mcp/tool-book.ts'
import { HandClock } from '../../../support/hand-clock.ts'

it('believes what a server said of its tools for a minute, from the first page of the list on', async () => {
  const clock = new HandClock(0)
  const book = new ToolBook({ clock })
  book.learn('session', [{ name: 'read', annotations: { readOnlyHint: true } }])
  await clock.pass(59_999)
  book.learn('session', [{ name: 'write' }])
  expect(book.annotationsOf('session', 'read')).toEqual({ readOnlyHint: true })
  expect(book.annotationsOf('session', 'write')).toBeNull()
  expect(book.annotationsOf('another', 'read')).toBeUndefined()
  await clock.pass(1)
  expect([book.annotationsOf('session', 'read'), book.paramsOf('session', 'write')]).toEqual([undefined, undefined])
})
