import { expect, inject, test } from 'vitest'

export type BackendName = 'kafka' | 'mongo'

/** A server that tests may use, and how it was come by: `given`, `docker` or `native`. */
export interface Backend {
  /** What its clients take: `mongodb://…`, or Kafka's brokers separated by commas. */
  url: string
  how: string
}

export interface StartedBackend extends Backend {
  stop(): Promise<void>
}

/** What the broker of backends answers: a backend, or why there is none. */
export type Found = Backend | { reason: string }

declare module 'vitest' {
  interface ProvidedContext {
    /** Base URL of the broker of backends (global-setup.ts). */
    backends: string
  }
}

/** The backend that all test files of this run share, started at the first call; or why there is none. */
export async function findBackend(name: BackendName): Promise<Found> {
  const answer = await fetch(`${inject('backends')}/${name}`, { method: 'POST' })
  return (await answer.json()) as Found
}

/**
 * Tests that need a backend: `define` gets it. Without one they are skipped with the reason; on CI that is a failure.
 * Await it at the top of a test file.
 */
export async function withBackend<B extends object>(
  name: string,
  find: () => Promise<B | { reason: string }>,
  define: (backend: B) => void,
): Promise<void> {
  const found = await find()
  if (!('reason' in found)) return define(found)
  console.warn(`SKIPPED ${name}: ${found.reason}`)
  if (process.env.CI) test(name, () => expect.fail(found.reason))
  else test.skip(`${name} (${found.reason})`)
}
