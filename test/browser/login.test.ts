import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createLogger } from '../../lib/runtime/logger.ts'
import { startUp, type Up } from '../../services/up.ts'
import { inBrowser, isLive, signIn } from '../support/browser.ts'
import { scenario } from '../support/server.ts'

/** A fresh server, for its login link. */
async function startFresh(): Promise<Up> {
  const root = mkdtempSync(join(tmpdir(), 'countersign-login-'))
  const configFile = join(root, 'countersign.yaml')
  writeFileSync(configFile, '')
  const up = await startUp({
    port: 0,
    embedded: true,
    dataDir: join(root, 'data'),
    configFile,
    log: createLogger('silent'),
  })
  onTestFinished(async () => {
    await up.close()
    rmSync(root, { recursive: true, force: true })
  })
  return up
}

inBrowser('signing in', (openPage) => {
  test('the login link signs in once and only once, and leaves no code in the address', async () => {
    const { url, loginUrl = '' } = await startFresh()
    const first = await openPage()
    await first.goto(loginUrl)
    await isLive(first)
    expect(first.url()).toBe(`${url}/`)
    await first.reload()
    await isLive(first)

    const second = await openPage()
    await second.goto(loginUrl)
    await second.getByRole('alert').waitFor()
    expect(await second.getByRole('alert').textContent()).toContain('used already')
    expect(second.url()).toBe(`${url}/login`)
    expect(await second.getByLabel('Token').isVisible()).toBe(true)
  })

  test('a used link does not shut out who is signed in already', async () => {
    const { loginUrl = '' } = await startFresh()
    const page = await openPage()
    await page.goto(loginUrl)
    await isLive(page)
    await page.goto('about:blank')
    await page.goto(loginUrl)
    await page.getByRole('button', { name: 'Go on as owner' }).click()
    await isLive(page)
  })

  scenario('a token signs in, a wrong one says so, and signing out ends the session', async ({ url, admin }) => {
    const page = await openPage()
    await page.goto(url)
    await page.getByLabel('Token').fill('cst_this-is-not-a-token')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('alert').getByText('not valid').waitFor()

    await page.getByLabel('Token').fill(admin.secret)
    await page.keyboard.press('Enter')
    await isLive(page)
    expect(await page.locator('.who').textContent()).toContain('owner')

    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByLabel('Token').waitFor()
    expect((await page.request.get(`${url}/v1/session`)).status()).toBe(401)
  })

  scenario("an agent's key does not open the page", async ({ url, agent }) => {
    const page = await openPage()
    await page.goto(url)
    await page.getByLabel('Token').fill(agent.secret)
    await page.keyboard.press('Enter')
    await page.getByRole('alert').getByText('for people').waitFor()
  })

  scenario('a session that the server forgot leads back to the login', async ({ url, admin, agent }) => {
    const page = await openPage()
    await signIn(page, admin)
    const held = agent.ask('stripe.refund', { amount: 5 })
    const card = page.getByRole('article')
    await card.waitFor()
    const cookie = (await page.context().cookies())[0]!
    const response = await fetch(`${url}/v1/session`, {
      method: 'DELETE',
      headers: { cookie: `${cookie.name}=${cookie.value}`, origin: url },
    })
    expect(response.status).toBe(204)
    await card.focus()
    await page.keyboard.press('y')
    await page.getByRole('alert').getByText('session has ended').waitFor()
    const [record] = await admin.pending()
    expect(record?.status).toBe('pending')
    await admin.decide(record!.id, 'deny')
    await held
  })
})
