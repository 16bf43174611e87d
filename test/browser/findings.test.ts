import { expect } from 'vitest'
import { inBrowser, signIn } from '../support/browser.ts'
import { startEvaluator } from '../support/evaluator-server.ts'
import { scenario, startWorld } from '../support/server.ts'

const RULES = `
version: 1
rules:
  - { id: bash, match: { tool: Bash }, action: require_approval, risk: low }
  - { id: pay, match: { tool: pay }, action: require_approval, approval: { reasonRequired: [approve] } }
`

inBrowser('what was noticed, on the page', (openPage) => {
  scenario(
    'a card says what detectors noticed, where, and how grave it is',
    async ({ admin, agent }) => {
      const page = await openPage()
      await signIn(page, admin)
      const held = agent.ask('Bash', { command: 'rm -rf /srv/data', note: '<b>bold</b>' })
      const shown = page.getByRole('article')
      await shown.waitFor()
      const text = await shown.innerText()
      for (const part of ['Noticed', 'high', 'destructive', 'Deletes folders', 'args.command', 'high risk'])
        expect(text).toContain(part)
      await shown.focus()
      // Nothing is suggested: the key does nothing.
      await page.keyboard.press('u')
      expect(await shown.getByRole('button', { name: 'Approve as suggested' }).count()).toBe(0)
      await page.keyboard.press('n')
      expect(await held).toMatchObject({ status: 403 })
    },
    { policy: RULES },
  )

  scenario('U takes what an evaluator suggests, with the reason that the rule wants', async () => {
    const evaluator = await startEvaluator({ opinion: 'suggest', edits: { amount: 40 }, reason: 'the limit is <40>' })
    const { admin, agent } = await startWorld({
      policy: `${RULES}evaluators:\n  external: [{ id: judge, url: "${evaluator.url}", timeout: 10s }]\n`,
    })
    const page = await openPage()
    await signIn(page, admin)
    const held = agent.ask('pay', { amount: 50, to: 'bob' })
    const shown = page.getByRole('article')
    const suggestion = shown.getByRole('region', { name: 'Suggested changes' })
    await suggestion.waitFor()
    expect(await suggestion.innerText()).toContain('judge suggests these changes to the arguments: the limit is <40>')
    expect(await suggestion.innerText()).toContain('"amount": 40')

    await shown.focus()
    await page.keyboard.press('u')
    await shown.getByRole('alert').getByText('approves as suggested').waitFor()
    await page.keyboard.type('fine with 40')
    await page.keyboard.press('Enter')
    expect(await held).toMatchObject({
      status: 200,
      body: { args: { amount: 40, to: 'bob' }, edited: true, reason: 'fine with 40' },
    })
  })

  scenario('the button takes it too; approving takes the arguments as they were', async () => {
    const evaluator = await startEvaluator({ opinion: 'suggest', edits: { dir: '/tmp' } })
    const { admin, agent } = await startWorld({
      policy: `${RULES}evaluators:\n  external: [{ id: judge, url: "${evaluator.url}", timeout: 10s }]\n`,
    })
    const page = await openPage()
    await signIn(page, admin)
    const first = agent.ask('Bash', { dir: '/' })
    await page.getByRole('button', { name: 'Approve as suggested' }).click()
    expect(await first).toMatchObject({ status: 200, body: { args: { dir: '/tmp' } } })

    const second = agent.ask('Bash', { dir: '/home' })
    const open = page.getByRole('article').filter({ hasText: '/home' })
    await open.getByRole('button', { name: 'Approve', exact: true }).click()
    expect(await second).toMatchObject({ status: 200, body: { args: { dir: '/home' } } })
  })
})
