import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, test } from 'vitest'
import { ERRORS, type ErrorCode, problem } from '../../lib/core/errors.ts'
import { parsePolicy } from '../../lib/core/policy/parse.ts'
import { ConfigFile, loadConfig } from '../../lib/runtime/config.ts'
import { createMetrics } from '../../lib/runtime/metrics.ts'
import { scenario, startWorld } from '../support/server.ts'
import { countersign } from '../unit/cli/fixture.ts'
import { brokenLinks, codeBlocks, tableRows } from './markdown.ts'

const root = new URL('../../', import.meta.url)
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8')
const SKIPPED = new Set(['node_modules', 'dist', 'coverage', '.git', '.countersign'])

function markdownUnder(path: string): string[] {
  return readdirSync(new URL(path, root), { withFileTypes: true }).flatMap((entry) => {
    if (SKIPPED.has(entry.name)) return []
    if (entry.isDirectory()) return markdownUnder(`${path}${entry.name}/`)
    return entry.name.endsWith('.md') ? [path + entry.name] : []
  })
}
const pages = markdownUnder('')

describe('links', () => {
  it.each(pages)('of %s lead somewhere', (page) => {
    const textOf = (path: string) => {
      const url = new URL(path, root)
      if (!existsSync(url)) return undefined
      return path.endsWith('.md') ? readFileSync(url, 'utf8') : ''
    }
    expect(brokenLinks(page, read(page), textOf)).toEqual([])
  })
})

describe('errors.md', () => {
  const rows = new Map(tableRows(read('docs/reference/errors.md')).map((row) => [row[0], row]))

  it.each(Object.keys(ERRORS) as ErrorCode[])('has %s as it is', (code) => {
    const { status, retryable, exit } = ERRORS[code]
    const toApprover = problem(code, {}, 'approver').status
    const [, statusCell, retryableCell, exitCell, meaning, action] = rows.get(`\`${code}\``) ?? []
    expect(statusCell).toBe(toApprover === status ? `${status}` : `${status}, ${toApprover} to an approver`)
    expect(retryableCell).toBe(retryable ? 'yes' : 'no')
    expect(exitCell).toBe(`${exit}`)
    expect(meaning).toMatch(/\w/)
    expect(action).toMatch(/\w/)
  })

  it('has no other code', () => {
    const codes = [...rows.keys()].flatMap((cell) => /^`([a-z_]+)`$/.exec(cell ?? '')?.[1] ?? [])
    expect(codes.filter((code) => !Object.hasOwn(ERRORS, code))).toEqual([])
  })
})

describe('configuration.md', () => {
  const text = read('docs/reference/configuration.md')
  const documented = tableRows(text).flatMap(([cell = '']) => /^`([a-zA-Z0-9.[\]]+)`$/.exec(cell)?.[1] ?? [])
  const keys = keysOf(ConfigFile, '')

  it('has every key of countersign.yaml, and no other', () => {
    const environment = /^[A-Z_]+$/
    expect(documented.filter((key) => !environment.test(key)).sort()).toEqual(keys.sort())
  })

  test('the example is valid, and shows the defaults', async () => {
    const { dataDir, stop } = await startWorld()
    await stop()
    const [example = ''] = codeBlocks(text, 'yaml')
    const file = join(dataDir, 'example.yaml')
    writeFileSync(file, example)
    const hash = 'a'.repeat(64)
    const shown = loadConfig({ file, required: true, env: { ALICE_TOKEN_SHA256: hash, BILLING_KEY_SHA256: hash } })
    expect(shown).toMatchObject({ approvers: [{ name: 'alice' }], agents: [{ name: 'billing' }] })
    const defaults = loadConfig({ file: join(dataDir, 'none.yaml'), env: {} })
    expect({ ...shown, approvers: [], agents: [] }).toEqual(defaults)
  })
})

/** The leaves of an object schema as dotted paths, of every kind that it can be; a list is a key of its own. */
function keysOf(schema: unknown, path: string): string[] {
  const { properties, items, oneOf } = schema as { properties?: object; items?: { type?: string }; oneOf?: object[] }
  if (oneOf) return [...new Set(oneOf.flatMap((each) => keysOf(each, path)))]
  if (properties)
    return Object.entries(properties).flatMap(([key, value]) => keysOf(value, path === '' ? key : `${path}.${key}`))
  return items?.type === 'object' ? [path, ...keysOf(items, `${path}[]`)] : [path]
}

test('operations.md has every metric with its type and labels', async () => {
  const rows = tableRows(read('docs/operations.md')).filter(([cell]) => cell?.startsWith('`countersign_'))
  const metrics = createMetrics().registry.getMetricsAsArray()
  const ours = metrics.filter(({ name }) => name.startsWith('countersign_'))
  expect(rows.map(([name, type, labels]) => `${name} ${type} ${labels}`.trim()).sort()).toEqual(
    ours
      .map((metric) => {
        const labels = 'labelNames' in metric ? (metric.labelNames as string[]) : []
        const words = labels.filter((label) => label !== 'le').map((label) => `\`${label}\``)
        return `\`${metric.name}\` ${metric.type} ${words.join(', ')}`.trim()
      })
      .sort(),
  )
})

scenario('http.md has every route, and no route that does not exist', async ({ admin }) => {
  const headings = [...read('docs/reference/http.md').matchAll(/^### ([A-Z]+) (\/\S*)$/gm)].map(
    ([, method = '', path = '']) => ({ method, path }),
  )
  const { body } = await admin.send<{ paths: Record<string, object> }>('GET', '/openapi.json')
  const registered = Object.entries(body.paths).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
  )
  const documented = headings.map(({ method, path }) => `${method} ${path}`)
  expect(registered.filter((route) => !documented.includes(route))).toEqual([])
  for (const { method, path } of headings) {
    const answer = await admin.send(method, path.replace('{id}', 'x'))
    expect(answer.body?.code, `${method} ${path}`).not.toBe('not_found')
  }
})

describe('examples in the text', () => {
  const blocks = (language: string) =>
    pages.flatMap((page) => codeBlocks(read(page), language).map((block) => ({ page, block })))

  const policies = blocks('yaml').filter(({ block }) => block.startsWith('version: 1\n'))
  it.each(policies)('a policy in $page is valid', ({ block }) => {
    const parsed = parsePolicy(block)
    expect(parsed.ok ? [] : parsed.errors).toEqual([])
  })

  const json = blocks('json').flatMap(({ page, block }) => blocksOfJson(block).map((text) => ({ page, text })))
  it.each(json)('JSON in $page can be read', ({ text }) => {
    expect(() => JSON.parse(text)).not.toThrow()
  })

  const lines = ['sh', 'bash', 'console'].flatMap(blocks).flatMap(({ page, block }) =>
    block
      .replaceAll(/\\\n\s*/g, ' ')
      .split('\n')
      .map((line) => ({ page, line: line.replace(/^\$ /, '').replace(/\s+#.*$/, '') })),
  )
  const scripts: string[] = Object.keys(JSON.parse(read('package.json')).scripts)
  const runs = lines.flatMap(({ page, line }) =>
    [...line.matchAll(/npm run ([\w:]+)/g)].map(([, script = '']) => ({ page, script })),
  )
  it.each(runs)('npm run $script of $page exists', ({ script }) => expect(scripts).toContain(script))

  const commands = lines.flatMap(({ page, line }) => {
    const command = /(?:^|\$\(|["'] |; |&& )(?:npx )?countersign ([^|>)&;]+)/.exec(line)?.[1]?.trim()
    return command === undefined ? [] : [{ page, command }]
  })
  it.each(commands)('countersign $command of $page exists', async ({ command }) => {
    const words = command.split(/\s+/)
    const path = words.slice(0, words.findIndex((word) => !/^[a-z]+$/.test(word)) >>> 0)
    const { out, exit } = await countersign([...path, '--help'])
    expect(exit).toBe(0)
    expect(out).toContain(`Usage: ${['countersign', ...path].join(' ')} `)
    for (const flag of command.match(/(?<=\s)--[a-z-]+/g) ?? []) expect(out).toContain(flag)
  })
})

/** One object in a block, or one on each line. */
const blocksOfJson = (block: string): string[] =>
  block
    .trim()
    .split('\n')
    .every((line) => /^\{.*\}$/.test(line))
    ? block.trim().split('\n')
    : [block]
