import { expect } from 'vitest'
import { inBrowser, signIn } from '../support/browser.ts'
import { scenario } from '../support/server.ts'

const RULES = `
version: 1
rules:
  - id: pay
    match: { tool: pay }
    action: require_approval
    approval:
      timeout: 10m
      warn: 598s
      approvers: [owner]
      escalation: [{ after: 1s, approvers: ["group:managers", carol] }]
`

inBrowser('while nobody decides, on the page', (openPage) => {
  scenario(
    'a card says to whom it was escalated and that time runs out, and can be decided as before',
    async ({ admin, agent }) => {
      const page = await openPage()
      await signIn(page, admin)
      const held = agent.ask('pay', { amount: 5 })
      const shown = page.getByRole('article')
      await shown.getByText('Escalated').waitFor()
      expect(await shown.innerText()).toMatch(/For\s+owner, group managers, carol/)
      expect(await shown.innerText()).toMatch(/Escalated\s+at .* to group managers, carol/)
      await shown.locator('.countdown.soon').waitFor()

      await page.reload()
      await shown.locator('.countdown.soon').waitFor()
      expect(await shown.innerText()).toMatch(/Escalated\s+at .* to group managers, carol/)
      await shown.focus()
      await page.keyboard.press('y')
      expect((await held).status).toBe(200)
    },
    { policy: RULES },
  )
})
