import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { violations } from './rooms.ts'

const root = new URL('../../', import.meta.url)
const paths = ['lib', 'services', 'clients', 'schemas'].flatMap((room) =>
  readdirSync(new URL(room, root), { recursive: true, encoding: 'utf8' })
    .filter((path) => /\.tsx?$/.test(path) && !path.split('/').includes('node_modules'))
    .map((path) => `${room}/${path}`),
)

describe('the rooms', () => {
  it.each(paths)('%s keeps the rules', (path) => {
    expect(violations({ [path]: readFileSync(new URL(path, root), 'utf8') })).toEqual([])
  })
})

describe('the rules', () => {
  const allowed: [string, string][] = [
    [
      'lib/core/approval.ts',
      "import { createHash } from 'node:crypto'; import c from 'canonicalize'; import './ids.ts'",
    ],
    ['lib/core/policy/parse.ts', "import { parse } from 'yaml'; import { x } from '../ids.ts'"],
    ['lib/ports/bus.ts', "import type { T } from '../core/events.ts'"],
    [
      'lib/adapters/sqlite/bus.ts',
      "import '../../core/a.ts'; import '../../ports/bus.ts'; import './db.ts'; import 'node:fs'",
    ],
    [
      'lib/adapters/avro/event-codec.ts',
      "import { schemas } from '../../../schemas/index.ts'; import avsc from 'avsc'",
    ],
    [
      'lib/runtime/config.ts',
      "import '../core/a.ts'; import '../ports/a.ts'; import './b.ts'; export const e = process.env",
    ],
    [
      'services/gate/app.ts',
      "import '../../lib/runtime/a.ts'; import './holds.ts'; import 'fastify'; import 'node:http'",
    ],
    ['services/gate/main.ts', "import '../../lib/adapters/sqlite/bus.ts'; export const e = process.env.X"],
    ['services/gate/opening.ts', "import '../../lib/adapters/sqlite/bus.ts'; import './app.ts'"],
    ['services/up.ts', "import './gate/app.ts'; import './decider/app.ts'; import '../lib/adapters/sqlite/bus.ts'"],
    ['services/index.ts', "export { up } from './up.ts'; export * from './gate/app.ts'"],
    ['clients/sdk/index.ts', "export * from './client.ts'"],
    ['clients/adapters/ai-sdk.ts', "import 'ai'; import './call-guard.ts'; import '../sdk/guard.ts'"],
    [
      'clients/dashboard/app.tsx',
      "import { h } from 'preact'; import '../sdk/index.ts'; export const a = <p>import 'fs'</p>",
    ],
    ['clients/dashboard/vite.config.ts', "import { defineConfig } from 'vite'; export default defineConfig({})"],
    [
      'clients/cli/keys.ts',
      "import '../sdk/index.ts'; import '../../lib/core/ids.ts'; import 'node:fs'; import 'commander'",
    ],
    [
      'clients/cli/main.ts',
      "import '../../services/up.ts'; import '../../lib/runtime/a.ts'; import '../../lib/adapters/sqlite/a.ts'",
    ],
    ['schemas/index.ts', "import { readFileSync } from 'node:fs'"],
    [
      'lib/core/text.ts',
      "// import '../runtime/a.ts'\nexport const text = `import x from 'fs'; process.env; enum E {}`",
    ],
  ]
  it.each(allowed)('let %s: %s', (path, text) => {
    expect(violations({ [path]: text })).toEqual([])
  })

  const refused: [string, string][] = [
    ['lib/core/a.ts', "import '../ports/bus.ts'"],
    ['lib/core/a.ts', "import { readFile } from 'node:fs'"],
    ['lib/core/a.ts', "import 'crypto'"],
    ['lib/core/a.ts', "import 'fastify'"],
    ['lib/core/a.ts', "import '../../schemas/index.ts'"],
    ['lib/ports/a.ts', "import '../adapters/sqlite/bus.ts'"],
    ['lib/ports/a.ts', "import 'node:events'"],
    ['lib/adapters/sqlite/a.ts', "import '../avro/event-codec.ts'"],
    ['lib/adapters/sqlite/a.ts', "import '../sqlite-tools/a.ts'"],
    ['lib/adapters/sqlite/a.ts', "import '../../runtime/logger.ts'"],
    ['lib/adapters/sqlite/a.ts', "import '../../../schemas/index.ts'"],
    ['lib/adapters/a.ts', 'export const a = 1'],
    ['lib/runtime/a.ts', "import '../adapters/sqlite/a.ts'"],
    ['services/gate/a.ts', "import '../decider/app.ts'"],
    ['services/gate/a.ts', "import '../up.ts'"],
    ['services/gate/a.ts', "import '../../lib/adapters/sqlite/a.ts'"],
    ['services/gate/a.ts', "import '../../clients/sdk/index.ts'"],
    ['services/gate/a.ts', "import 'countersign/client'"],
    ['services/gate/main.ts', "import '../decider/app.ts'"],
    ['services/gate/opening.ts', "import '../decider/app.ts'"],
    ['services/gate/actions/main.ts', "import '../../../lib/adapters/sqlite/a.ts'"],
    ['services/index.ts', "import '../lib/adapters/sqlite/a.ts'"],
    ['services/other.ts', "import './gate/app.ts'"],
    ['clients/sdk/a.ts', "import 'node:timers'"],
    ['clients/adapters/ai-sdk.ts', "import 'langchain'"],
    ['clients/adapters/ai-sdk.ts', "import './langchain.ts'"],
    ['clients/adapters/call-guard.ts', "import 'ai'"],
    ['clients/adapters/claude-agent-sdk.ts', "import '@anthropic-ai/claude-agent-sdk'"],
    ['clients/cli/a.ts', "import '../adapters/ai-sdk.ts'"],
    ['clients/sdk/a.ts', "import 'undici'"],
    ['clients/sdk/a.ts', "import '../../lib/core/ids.ts'"],
    ['clients/dashboard/a.tsx', "import '../cli/main.ts'"],
    ['clients/dashboard/a.tsx', "import '../../lib/core/ids.ts'"],
    ['clients/dashboard/a.tsx', "import 'node:fs'"],
    ['clients/cli/a.ts', "import '../../services/up.ts'"],
    ['clients/cli/a.ts', "import '../../lib/runtime/a.ts'"],
    ['clients/cli/keys/main.ts', "import '../../../services/up.ts'"],
    ['schemas/index.ts', "import '../lib/core/events.ts'"],
  ]
  it.each(refused)('stop %s: %s', (path, text) => {
    expect(violations({ [path]: text })).toHaveLength(1)
  })

  it.each([
    "import { a } from '../ports/a.ts'",
    "import a, * as b from '../ports/a.ts'",
    "import type { A } from '../ports/a.ts'",
    "import '../ports/a.ts'",
    "export { a } from '../ports/a.ts'",
    "export * from '../ports/a.ts'",
    "export type { A } from '../ports/a.ts'",
    "export const a = () => import('../ports/a.ts')",
    'export const a = () => import(`../ports/a.ts`)',
    "export type A = import('../ports/a.ts').A",
    "export const a = require('../ports/a.ts')",
    "import a = require('../ports/a.ts')",
  ])('see the import in: %s', (text) => {
    expect(violations({ 'lib/core/a.ts': text })).toEqual([
      'lib/core/a.ts:1: imports ../ports/a.ts: lib/core is pure: itself, node:crypto and pure packages',
    ])
  })

  it('stop an import that is computed', () => {
    const text = 'export const load = (name: string) => import(name)'
    expect(violations({ 'services/gate/a.ts': text })).toEqual([expect.stringContaining('what nobody can tell')])
  })

  it('name the line', () => {
    const text = "import './b.ts'\n\n/* two\nlines */ import '../ports/a.ts'\n"
    expect(violations({ 'lib/core/a.ts': text })).toEqual([expect.stringMatching(/^lib\/core\/a\.ts:4: /)])
  })

  it.each(['process.env.X', "process['env']", 'globalThis.process.env', '(({ env } = process) => env)()'])(
    'stop the environment read as %s',
    (text) => {
      const found = violations({ 'services/gate/config.ts': `export const value = ${text}` })
      expect(found).toEqual(['services/gate/config.ts:1: reads process.env: only lib/runtime and main.ts do'])
    },
  )

  it.each(["import { env } from 'node:process'", 'const { env } = process', 'const { pid, ...rest } = process'])(
    'stop the environment read as %s',
    (text) => {
      expect(violations({ 'services/gate/config.ts': text })).toHaveLength(1)
    },
  )

  it.each(['export default 1', 'const a = 1; export { a as default }', "export { default } from './b.ts'"])(
    'stop the default export %s',
    (text) => {
      const found = violations({ 'lib/core/a.ts': text })
      expect(found).toEqual(['lib/core/a.ts:1: exports a default: exports have names'])
    },
  )

  it.each(['enum A { b }', 'export const enum A { b }', 'declare enum A { b }'])('stop %s', (text) => {
    expect(violations({ 'lib/core/a.ts': text })).toEqual([expect.stringContaining('declares an enum')])
  })
})
