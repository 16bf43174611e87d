import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

test('the packed package runs elsewhere: its command, its three entries, its page', async () => {
  const cwd = mkdtempSync(join(tmpdir(), 'countersign-package-'))
  onTestFinished(() => rmSync(cwd, { recursive: true, force: true }))
  execFileSync('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', cwd], { cwd: ROOT })
  const [tarball] = readdirSync(cwd)
  const home = join(cwd, 'node_modules', 'countersign')
  mkdirSync(home, { recursive: true })
  execFileSync('tar', ['xzf', join(cwd, tarball ?? ''), '-C', home, '--strip-components=1'])
  // What npm would install beside it; the registry is not asked by a test.
  symlinkSync(join(ROOT, 'node_modules'), join(home, 'node_modules'))

  writeFileSync(
    join(cwd, 'entries.mjs'),
    `import { startUp } from 'countersign'
     import { createClient } from 'countersign/client'
     import { schemas } from 'countersign/schemas'
     console.log(typeof startUp, typeof createClient, Object.keys(schemas).length)`,
  )
  const entries = execFileSync(process.execPath, ['entries.mjs'], { cwd, encoding: 'utf8' })
  expect(entries.trim()).toBe('function function 4')

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
