import { expect, it } from 'vitest'
import type { Clock } from '../../../../lib/ports/clock.ts'
import { eventText, paced } from '../../../../services/gate/mcp/event-stream.ts'

/** A clock whose timers run when they are told to. */
function handClock() {
  const timers = new Map<number, { at: number; callback: () => void }>()
  let now = 0
  let ids = 0
  const clock: Clock = {
    now: () => now,
    after(ms, callback) {
      const id = ++ids
      timers.set(id, { at: now + ms, callback })
      return () => timers.delete(id)
    },
  }
  return {
    clock,
    timers,
    pass(ms: number) {
      now += ms
      for (const [id, { at, callback }] of [...timers])
        if (at <= now) {
          timers.delete(id)
          callback()
        }
    },
  }
}

it('writes events as the standard has them, also text with line breaks', () => {
  expect(eventText({ data: '{}' })).toBe('data: {}\n\n')
  expect(eventText({ data: '', id: 'a1', retryMs: 5 })).toBe('id: a1\nretry: 5\ndata: \n\n')
  expect(eventText({ data: '{\n"a": 1\r\n}' })).toBe('data: {\ndata: "a": 1\ndata: }\n\n')
})

it('says something whenever nothing came for a while, in order and to the end', async () => {
  const { clock, pass, timers } = handClock()
  let give: (item: string) => void = () => {}
  async function* items() {
    for (let index = 0; index < 2; index++)
      yield await new Promise<string>((resolve) => {
        give = resolve
      })
  }
  let idle = 0
  const reader = paced(items(), { clock, everyMs: 10, idle: () => `idle ${++idle}` })
  const next = async () => (await reader.next()).value
  const first = next()
  pass(9)
  pass(1)
  expect(await first).toBe('idle 1')
  const second = next()
  pass(10)
  expect(await second).toBe('idle 2')
  const third = next()
  give('one')
  expect(await third).toBe('one')
  const fourth = next()
  await Promise.resolve()
  give('two')
  expect(await fourth).toBe('two')
  expect(await reader.next()).toEqual({ done: true, value: undefined })
  expect(timers.size).toBe(0)
})

it('ends what it reads when its reader leaves, and passes failures on', async () => {
  const { clock, timers } = handClock()
  let isEnded = false
  async function* endless() {
    try {
      for (;;) yield 'x'
    } finally {
      isEnded = true
    }
  }
  const reader = paced(endless(), { clock, everyMs: 10, idle: () => '' })
  await reader.next()
  await reader.return(undefined)
  await expect.poll(() => isEnded).toBe(true)
  async function* broken() {
    yield 'x'
    throw new Error('broken off')
  }
  const other = paced(broken(), { clock, everyMs: 10, idle: () => '' })
  await other.next()
  await expect(other.next()).rejects.toThrow('broken off')
  expect(timers.size).toBe(0)
})
