import { expect } from 'vitest'
import { accessibilityFaults, card, inBrowser, signIn } from '../support/browser.ts'
import { scenario } from '../support/server.ts'

const HOSTILE = {
  summary: 'Delete <img src=x onerror="window.owned=1"> \u001b[31mred\u001b[0m \u202egnp.exe \u200bend',
  args: {
    command: 'echo "<script>window.owned=1</script>" \u001b[2J \u2066hidden\u2069\nrm -rf /',
    '<b>key</b>': '<svg onload="window.owned=1">',
    long: 'x'.repeat(400),
  },
  context: { session: '<i>session</i>', user: 'mallory\u202e' },
}

inBrowser('the look of the page', (openPage) => {
  scenario('markup, escapes and direction marks of an agent are shown inert', async ({ admin, agent }) => {
    const page = await openPage()
    await signIn(page, admin)
    const held = agent.ask('stripe.refund', HOSTILE.args, {
      context: { summary: HOSTILE.summary, ...HOSTILE.context },
    })
    const shown = page.getByRole('article')
    await shown.waitFor()
    const [record] = await admin.pending()
    await admin.decide(record!.id, 'deny', { reason: '<img src=x onerror="window.owned=1">\u202eok' })
    await held
    await shown.getByText('Denied').waitFor()

    const text = (await shown.textContent()) ?? ''
    expect(text).toContain('<img src=x onerror="window.owned=1">')
    expect(text).toContain('\\u202egnp.exe')
    expect(text).toContain('\\u001b[31mred')
    expect(text).toContain('<script>')
    expect(text).toContain('<i>session</i>')
    expect(text).not.toMatch(/\p{Cf}|(?!\n)\p{Cc}/u)
    expect(await shown.locator('img, script, svg[onload], i').count()).toBe(0)
    expect(await page.evaluate('window.owned')).toBeUndefined()

    await shown.getByRole('button', { name: 'Dismiss' }).click()
    const recent = page.getByRole('region', { name: 'Recently decided' })
    expect(await recent.textContent()).toContain('<img src=x')
    expect(await recent.locator('img').count()).toBe(0)
  })

  for (const colorScheme of ['light', 'dark'] as const)
    scenario(`axe-core finds nothing, in ${colorScheme}`, async ({ url, admin, agent }) => {
      const page = await openPage({ colorScheme, reducedMotion: 'reduce' })
      await page.goto(url)
      await page.getByLabel('Token').waitFor()
      expect(await accessibilityFaults(page)).toEqual([])

      await signIn(page, admin)
      expect(await accessibilityFaults(page)).toEqual([])

      const held = ['with.reason', 'stripe.refund', 'two.people', 'kept.x'].map((tool) =>
        agent.ask(
          tool,
          { amount: 5, list: Array.from({ length: 40 }, (_, i) => i) },
          { context: { summary: `About ${tool}` } },
        ),
      )
      await expect.poll(() => page.getByRole('article').count()).toBe(4)
      await card(page, 'with.reason').focus()
      await page.keyboard.press('n')
      await card(page, 'with.reason').getByRole('alert').waitFor()
      for (const { id, action } of await admin.pending(4))
        if (action.tool === 'stripe.refund') await admin.decide(id, 'approve')
        else if (action.tool === 'kept.x') await admin.decide(id, 'deny', { reason: 'no' })
      await card(page, 'stripe.refund').getByText('Approved').waitFor()
      await card(page, 'kept.x').getByText('Denied').waitFor()
      await card(page, 'kept.x').getByRole('button', { name: 'Dismiss' }).click()
      await page.getByRole('region', { name: 'Recently decided' }).waitFor()
      expect(await accessibilityFaults(page)).toEqual([])

      await page.getByRole('button', { name: 'Help' }).click()
      await page.getByRole('dialog').waitFor()
      expect(await accessibilityFaults(page)).toEqual([])
      for (const { id } of await admin.pending(2)) await admin.decide(id, 'deny', { reason: 'done' })
      await Promise.all(held)
    })

  scenario('360 pixels are enough', async ({ admin, agent }) => {
    const page = await openPage({ viewport: { width: 360, height: 700 } })
    await signIn(page, admin)
    const held = agent.ask('stripe.refund', HOSTILE.args, {
      context: { summary: `${HOSTILE.summary}${'y'.repeat(300)}` },
    })
    await page.getByRole('article').waitFor()
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360)
    await page.getByRole('button', { name: 'Deny' }).click()
    expect((await held).status).toBe(403)
  })
})
