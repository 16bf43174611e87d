import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** The package as it would be published, unpacked in a folder of its own: `cwd` imports it by its name. */
function unpacked() {
  const cwd = mkdtempSync(join(tmpdir(), 'countersign-package-'))
  onTestFinished(() => rmSync(cwd, { recursive: true, force: true }))
  execFileSync('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', cwd], { cwd: ROOT })
  const [tarball] = readdirSync(cwd)
  const home = join(cwd, 'node_modules', 'countersign')
  mkdirSync(home, { recursive: true })
  execFileSync('tar', ['xzf', join(cwd, tarball ?? ''), '-C', home, '--strip-components=1'])
  return { cwd, home }
}

function run(cwd: string, source: string): string {
  writeFileSync(join(cwd, 'entries.mjs'), source)
  return execFileSync(process.execPath, ['entries.mjs'], { cwd, encoding: 'utf8' }).trim()
}

test('the packed package runs elsewhere: its command, its entries, its page', async () => {
  const { cwd, home } = unpacked()
  // What npm would install beside it; the registry is not asked by a test.
  symlinkSync(join(ROOT, 'node_modules'), join(home, 'node_modules'))

  const entries = run(
    cwd,
    `import { startUp } from 'countersign'
     import { createClient } from 'countersign/client'
     import { schemas } from 'countersign/schemas'
     import { guardTools } from 'countersign/ai-sdk'
     import { guardTool } from 'countersign/openai-agents'
     import { countersignMiddleware } from 'countersign/langchain'
     import { guardHooks } from 'countersign/claude-agent-sdk'
     const functions = [startUp, createClient, guardTools, guardTool, countersignMiddleware, guardHooks]
     console.log(functions.every((each) => typeof each === 'function'), 'approval.requested' in schemas)`,
  )
  expect(entries).toBe('true true')

  const command = join(home, 'dist', 'clients', 'cli', 'main.js')
  const child = spawn(process.execPath, [command, 'up', '--port', '0'], {
    cwd,
    env: { ...process.env, KAFKA_BROKERS: '', MONGODB_URL: '' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await exited
  })
  let stdout = ''
  for await (const chunk of child.stdout) {
    stdout += chunk
    if (/^ready /m.test(stdout)) break
  }
  const url = /^ready (\S+)/m.exec(stdout)?.[1]
  const page = await (await fetch(`${url}/`)).text()
  const [script] = /\/assets\/[^"]+\.js/.exec(page) ?? []
  expect((await fetch(url + (script ?? ''))).headers.get('content-type')).toContain('javascript')
  child.kill('SIGTERM')
  expect(await exited).toEqual([0, null])
})

test('the client needs nothing beside it; an adapter without its library says which one it needs', () => {
  const { cwd } = unpacked()
  const entries = run(
    cwd,
    `const names = ['client', 'claude-agent-sdk', 'ai-sdk', 'openai-agents', 'langchain']
     for (const name of names)
       await import('countersign/' + name).then(
         () => console.log(name),
         ({ code, message }) => console.log(name, code, /package '(.+?)'/.exec(message)?.[1]),
       )`,
  )
  expect(entries.split('\n')).toEqual([
    'client',
    'claude-agent-sdk',
    'ai-sdk ERR_MODULE_NOT_FOUND ai',
    'openai-agents ERR_MODULE_NOT_FOUND @openai/agents-core',
    'langchain ERR_MODULE_NOT_FOUND langchain',
  ])
})
