import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Browser, type BrowserContextOptions, chromium, type Locator, type Page } from 'playwright-core'
import { build } from 'vite'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { Caller } from './server.ts'

const ARGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

const NO_BROWSER = 'there is no Chromium: install it, or set CHROMIUM_PATH'

/** CHROMIUM_PATH, else Debian's, else whatever `chromium` is on the PATH. */
function findChromium(): string | undefined {
  const { CHROMIUM_PATH, PATH = '' } = process.env
  if (CHROMIUM_PATH) return CHROMIUM_PATH
  const onPath = PATH.split(delimiter).map((folder) => join(folder, 'chromium'))
  return ['/usr/bin/chromium', ...onPath].find((path) => existsSync(path))
}

export type OpenPage = (options?: BrowserContextOptions) => Promise<Page>

/**
 * Tests in a real browser. Without one they are skipped with the reason; on CI that is a failure.
 * Each page has a context of its own. A script error or a breach of the page's security policy fails its test.
 */
export function inBrowser(name: string, define: (openPage: OpenPage) => void): void {
  const executablePath = findChromium()
  if (executablePath === undefined) {
    console.warn(`SKIPPED ${name}: ${NO_BROWSER}`)
    if (process.env.CI) test(name, () => expect.fail(NO_BROWSER))
    else test.skip(`${name} (${NO_BROWSER})`)
    return
  }
  describe(name, () => {
    let browser: Browser
    beforeAll(async () => {
      await ensurePageIsBuilt()
      browser = await chromium.launch({ executablePath, args: ARGS })
    })
    afterAll(() => browser.close())

    define(async (options) => {
      const context = await browser.newContext(options)
      const page = await context.newPage()
      const faults: string[] = []
      page.on('pageerror', (error) => faults.push(error.message))
      page.on('console', (message) => {
        if (message.type() === 'error' && message.text().includes('Content Security Policy'))
          faults.push(message.text())
      })
      page.setDefaultTimeout(15_000)
      onTestFinished(async () => {
        await context.close()
        expect(faults).toEqual([])
      })
      return page
    })
  })
}

const DIST = fileURLToPath(new URL('../../dist', import.meta.url))
const OUT = join(DIST, 'dashboard')

/** `npm test` builds first; whoever runs one test alone gets the page here. */
async function ensurePageIsBuilt(): Promise<void> {
  if (existsSync(join(OUT, 'index.html'))) return
  const configFile = fileURLToPath(new URL('../../clients/dashboard/vite.config.ts', import.meta.url))
  mkdirSync(DIST, { recursive: true })
  const outDir = mkdtempSync(join(DIST, '.dashboard-'))
  try {
    await build({ configFile, logLevel: 'silent', build: { outDir } })
    renameSync(outDir, OUT)
  } catch (error) {
    // Another test file was faster.
    if (!existsSync(join(OUT, 'index.html'))) throw error
  } finally {
    rmSync(outDir, { recursive: true, force: true })
  }
}

/** Signs the page's browser in with a token, and waits until the page shows what the server knows. */
export async function signIn(page: Page, { url, secret }: Caller): Promise<void> {
  const response = await page.request.post(`${url}/v1/session`, { data: { token: secret } })
  expect(response.status()).toBe(200)
  await page.goto(url)
  await isLive(page)
}

export const isLive = (page: Page): Promise<void> => page.locator('.link-live').waitFor()

/** The card whose text has this. */
export const card = (page: Page, text: string): Locator => page.getByRole('article').filter({ hasText: text })

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** What axe-core finds wrong with the page as it is now, one line per finding. */
export async function accessibilityFaults(page: Page): Promise<string[]> {
  await page.evaluate(AXE)
  const { violations } = await page.evaluate<{
    violations: { id: string; impact: string; nodes: { html: string }[] }[]
  }>('axe.run()')
  return violations.flatMap(({ id, impact, nodes }) => nodes.map(({ html }) => `${impact} ${id}: ${html}`))
}
