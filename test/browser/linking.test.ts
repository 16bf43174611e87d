import { expect } from 'vitest'
import { inBrowser, signIn } from '../support/browser.ts'
import { scenario } from '../support/server.ts'

const missing = `apr_${'0'.repeat(26)}`

inBrowser('a link to an approval', (openPage) => {
  scenario('shows its card, marked, and decides nothing by itself', async ({ url, admin, agent }) => {
    const held = [...Array(12).keys()].map((amount) => agent.ask('stripe.refund', { amount }))
    const pending = await admin.pending(held.length)
    const [oldest] = pending.toSorted((a, b) => a.id.localeCompare(b.id))
    const newest = pending.toSorted((a, b) => b.id.localeCompare(a.id))[0]!
    const page = await openPage()
    await signIn(page, admin)
    await page.goto(`${url}/#/approvals/${newest.id}`)
    const card = page.locator(`[data-card="${newest.id}"][aria-current]`)
    await card.waitFor()
    await expect.poll(() => card.evaluate((each) => Math.abs(each.getBoundingClientRect().top) < 400)).toBe(true)
    expect(await page.locator('[aria-current]').count()).toBe(1)
    // The card has no focus: keys that were meant for something else decide nothing.
    await page.keyboard.press('y')
    expect((await admin.record(newest.id)).status).toBe('pending')

    await page.goto(`${url}/#/approvals/${oldest!.id}`)
    await page.locator(`[data-card="${oldest!.id}"][aria-current]`).waitFor()
    expect(await page.locator('[aria-current]').count()).toBe(1)
    for (const { id } of pending) await admin.decide(id, 'deny')
    await Promise.all(held)
  })

  scenario('is kept while somebody signs in', async ({ url, admin, agent }) => {
    const held = agent.ask('stripe.refund', { amount: 5 })
    const [approval] = await admin.pending()
    const page = await openPage()
    await page.goto(`${url}/#/approvals/${approval!.id}`)
    await page.getByLabel('Token').fill(admin.secret)
    await page.keyboard.press('Enter')
    await page.locator(`[data-card="${approval!.id}"][aria-current]`).waitFor()
    await admin.decide(approval!.id, 'deny')
    await held
  })

  scenario('shows what became of it, also when much was decided since', async ({ url, admin, agent }) => {
    const decided: string[] = []
    for (let amount = 0; amount < 22; amount++) {
      const held = agent.ask('stripe.refund', { amount })
      const [approval] = await admin.pending()
      await admin.decide(approval!.id, 'deny', { reason: `number ${amount}` })
      await held
      decided.push(approval!.id)
    }
    const page = await openPage()
    await signIn(page, admin)
    await page.getByText('number 21').waitFor()
    expect(await page.getByText('number 0', { exact: false }).count()).toBe(0)
    await page.goto(`${url}/#/approvals/${decided[0]}`)
    const line = page.locator('.recent [aria-current]')
    await line.waitFor()
    expect(await line.innerText()).toContain('number 0')
  })

  scenario('that leads nowhere shows what there is', async ({ url, admin, agent }) => {
    const held = agent.ask('stripe.refund', { amount: 5 })
    const [approval] = await admin.pending()
    const page = await openPage()
    await signIn(page, admin)
    await page.goto(`${url}/#/approvals/${missing}`)
    await page.locator(`[data-card="${approval!.id}"]`).waitFor()
    expect(await page.locator('[aria-current]').count()).toBe(0)
    await admin.decide(approval!.id, 'deny')
    await held
  })
})
