import { defineConfig } from 'vitest/config'

/** One project per kind of test: `npx vitest run --project unit`. */
const project = (name: string, more: Record<string, unknown> = {}) => ({
  test: { name, include: [`test/${name}/**/*.test.ts`], ...more },
})

export default defineConfig({
  test: {
    globalSetup: 'test/support/backends/global-setup.ts',
    // Much of a test is waiting for other processes: a worker for every core is not too many.
    maxWorkers: '100%',
    projects: [
      project('unit', { testTimeout: 20_000 }),
      project('arch'),
      project('contract', { testTimeout: 20_000 }),
      project('conformance', { testTimeout: 30_000 }),
      project('integration', { testTimeout: 30_000, hookTimeout: 30_000 }),
      project('e2e', { testTimeout: 60_000, hookTimeout: 60_000 }),
      project('browser', { testTimeout: 60_000, hookTimeout: 60_000 }),
    ],
  },
})
