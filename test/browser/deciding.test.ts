import { expect } from 'vitest'
import { card, inBrowser, signIn } from '../support/browser.ts'
import { type Caller, scenario } from '../support/server.ts'

/** How often a record was decided or voted on, by its history. */
async function decisionsOf(people: Caller, id: string): Promise<number> {
  const { history = [] } = await people.record(id)
  return history.filter(({ type }) => type === 'approved' || type === 'denied' || type === 'voted').length
}

inBrowser('deciding on the page', (openPage) => {
  scenario('a held call appears by itself, with who, what and why', async ({ admin, agent }) => {
    const page = await openPage()
    await signIn(page, admin)
    await page.getByText('Nothing is waiting.').waitFor()
    expect(await page.title()).toBe('Countersign')

    const held = agent.ask(
      'stripe.refund',
      { amount: 5000, note: 'first\nsecond' },
      { context: { summary: 'Refund 50 EUR', session: 's-1', user: 'maria' } },
    )
    const shown = card(page, 'Refund 50 EUR')
    await shown.waitFor()
    await expect.poll(() => page.title()).toBe('(1) Countersign')
    const text = await shown.innerText()
    for (const part of [
      'agent',
      'stripe.refund',
      's-1',
      'maria',
      'large-refunds',
      'high risk',
      '"amount": 5000',
      'left',
    ])
      expect(text).toContain(part)
    const [record] = await admin.pending()
    for (const line of record!.rule.why) expect(text).toContain(line)

    await admin.decide(record!.id, 'deny')
    await held
  })

  scenario('Y on the focused card approves it alone, and the held call goes on', async ({ admin, agent }) => {
    const page = await openPage()
    await signIn(page, admin)
    const first = agent.ask('stripe.refund', { amount: 1 }, { context: { summary: 'Refund one' } })
    await card(page, 'Refund one').waitFor()
    const second = agent.ask('stripe.refund', { amount: 2 }, { context: { summary: 'Refund two' } })
    await card(page, 'Refund two').waitFor()

    await page.keyboard.press('y')
    await page.keyboard.press('j')
    await page.keyboard.press('j')
    await page.keyboard.press('y')
    expect(await second).toMatchObject({ status: 200, body: { effect: 'allow' } })
    await card(page, 'Refund two').getByText('Approved').waitFor()
    expect((await admin.pending()).map(({ action }) => action.summary)).toEqual([expect.stringContaining('Refund one')])

    await page.keyboard.press('k')
    await page.keyboard.press('n')
    expect(await first).toMatchObject({ status: 403, body: { code: 'approval_denied' } })
  })

  scenario('N asks for the reason that the rule wants, and Enter sends it', async ({ admin, agent }) => {
    const page = await openPage()
    await signIn(page, admin)
    const held = agent.ask('with.reason', { a: 1 })
    const shown = page.getByRole('article')
    await shown.waitFor()
    await shown.focus()
    await page.keyboard.press('n')
    await shown.getByRole('alert').getByText('a reason to deny').waitFor()
    expect(await page.evaluate('document.activeElement.tagName')).toBe('TEXTAREA')
    expect(await admin.pending()).toHaveLength(1)

    await page.keyboard.type('not on a Friday, yes?')
    await page.keyboard.press('Enter')
    expect(await held).toMatchObject({ status: 403, body: { reason: 'not on a Friday, yes?' } })
    await shown.getByText('Denied').waitFor()
    await shown.locator('.reason').getByText('not on a Friday, yes?').waitFor()
  })

  scenario('typing y and n into the reason decides nothing', async ({ admin, agent }) => {
    const page = await openPage()
    await signIn(page, admin)
    const held = agent.ask('stripe.refund', { amount: 1 })
    const shown = page.getByRole('article')
    await shown.waitFor()
    await shown.focus()
    await page.keyboard.press('r')
    await page.keyboard.type('yny')
    expect(await shown.getByRole('textbox').inputValue()).toBe('yny')
    await page.keyboard.press('Enter')

    const [record] = await admin.pending()
    expect(await decisionsOf(admin, record!.id)).toBe(0)
    await page.keyboard.press('Escape')
    await page.keyboard.press('y')
    expect((await held).body).toMatchObject({ effect: 'allow' })
    expect((await admin.record(record!.id)).reason).toContain('yny')
  })

  scenario('keys with a modifier or held down decide nothing', async ({ admin, agent }) => {
    const page = await openPage()
    await signIn(page, admin)
    const held = agent.ask('stripe.refund', { amount: 1 })
    const shown = page.getByRole('article')
    await shown.waitFor()
    await shown.focus()
    for (const keys of ['Control+y', 'Alt+y', 'Meta+y', 'Shift+Y', 'Control+n']) await page.keyboard.press(keys)
    await page.evaluate(
      `document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: 'y', repeat: true, bubbles: true }))`,
    )
    await page.keyboard.press('?')
    await page.getByRole('dialog').waitFor()
    await page.keyboard.press('y')
    await page.keyboard.press('Escape')
    const [record] = await admin.pending()
    expect(await decisionsOf(admin, record!.id)).toBe(0)

    await shown.focus()
    await page.keyboard.press('n')
    expect((await held).status).toBe(403)
  })

  scenario('a double press sends one decision', async ({ admin, agent }) => {
    const page = await openPage()
    const sent: string[] = []
    page.on('websocket', (socket) => socket.on('framesent', ({ payload }) => sent.push(String(payload))))
    page.on('request', (request) => request.method() === 'POST' && sent.push(request.postData() ?? ''))
    await signIn(page, admin)
    const byClick = agent.ask('stripe.refund', { amount: 1 }, { context: { summary: 'By click' } })
    await card(page, 'By click').getByRole('button', { name: 'Approve' }).dblclick()
    const byKey = agent.ask('stripe.refund', { amount: 2 }, { context: { summary: 'By key' } })
    await card(page, 'By key').focus()
    const press = `document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: 'y', bubbles: true }));`
    await page.evaluate(press + press)

    for (const { status, body } of await Promise.all([byClick, byKey])) {
      expect(status).toBe(200)
      expect(await decisionsOf(admin, body.approvalId!)).toBe(1)
    }
    await card(page, 'By key').getByText('Approved').waitFor()
    expect(sent.filter((frame) => frame.includes('"approve"'))).toHaveLength(2)
  })

  scenario('a decision made elsewhere settles the card in place', async ({ admin, agent, caller }) => {
    const page = await openPage()
    await signIn(page, admin)
    const bob = await caller('bob', 'approver')
    const held = [1, 2, 3].map((amount) =>
      agent.ask('stripe.refund', { amount }, { context: { summary: `Refund number ${amount}` } }),
    )
    await expect.poll(() => page.getByRole('article').count()).toBe(3)
    const titles = await page.getByRole('heading', { level: 3 }).allTextContents()
    const middle = card(page, titles[1]!)
    const record = (await admin.pending(3)).find(({ action }) => action.summary === titles[1])!
    await bob.decide(record.id, 'deny', { reason: 'not this one' })

    await middle.getByText('Denied').waitFor()
    const text = await middle.innerText()
    for (const part of ['bob', 'HTTP', 'not this one']) expect(text).toContain(part)
    expect(await middle.getByRole('button', { name: 'Approve' }).count()).toBe(0)
    expect(await page.getByRole('heading', { level: 3 }).allTextContents()).toEqual(titles)

    await middle.getByRole('button', { name: 'Dismiss' }).click()
    await middle.waitFor({ state: 'detached' })
    const line = page.getByRole('region', { name: 'Recently decided' }).getByRole('listitem')
    expect(await line.textContent()).toContain(titles[1])
    for (const { id } of await admin.pending(2)) await bob.decide(id, 'approve')
    await Promise.all(held)
  })

  scenario('a settled card leaves by itself, but not from under a pointer', async ({ admin, agent }) => {
    const page = await openPage()
    await page.clock.install()
    await signIn(page, admin)
    const held = agent.ask('stripe.refund', { amount: 1 })
    const shown = page.getByRole('article')
    await shown.hover()
    const [record] = await admin.pending()
    await admin.decide(record!.id, 'deny')
    await held
    await shown.getByText('Denied').waitFor()
    await page.clock.runFor(20_000)
    expect(await shown.count()).toBe(1)

    await page.mouse.move(1, 1)
    await page.clock.runFor(20_000)
    await shown.waitFor({ state: 'detached' })
    await page.getByRole('region', { name: 'Recently decided' }).getByText('Denied').waitFor()
    await page.getByText('Nothing is waiting.').waitFor()
  })

  scenario('what is typed while the card settles elsewhere decides nothing else', async ({ admin, agent }) => {
    const page = await openPage()
    await signIn(page, admin)
    const first = agent.ask('stripe.refund', { amount: 1 }, { context: { summary: 'Refund one' } })
    await card(page, 'Refund one').waitFor()
    const second = agent.ask('stripe.refund', { amount: 2 }, { context: { summary: 'Refund two' } })
    await card(page, 'Refund two').waitFor()
    const records = await admin.pending(2)
    const idOf = (text: string) => records.find(({ action }) => action.summary.includes(text))!.id

    await card(page, 'Refund one').getByRole('textbox').click()
    await page.keyboard.type('just a ')
    await admin.decide(idOf('Refund one'), 'deny')
    await card(page, 'Refund one').getByText('Denied').waitFor()
    await page.keyboard.type('joy')
    expect(await decisionsOf(admin, idOf('Refund two'))).toBe(0)
    await admin.decide(idOf('Refund two'), 'deny')
    await Promise.all([first, second])
  })

  scenario('a refused decision brings the card back with the reason', async ({ admin, agent, caller }) => {
    const page = await openPage()
    const alice = await caller('alice', 'approver')
    await signIn(page, alice)
    const held = agent.ask('stripe.refund', { amount: 1 }, { context: { user: 'alice' } })
    const shown = page.getByRole('article')
    await shown.getByRole('button', { name: 'Approve' }).click()
    await shown.getByRole('alert').getByText('somebody else must decide').waitFor()
    expect(await shown.getByRole('button', { name: 'Approve' }).isEnabled()).toBe(true)
    const [record] = await admin.pending()
    await admin.decide(record!.id, 'approve')
    await held
  })

  scenario('two approvals: the first shows as a vote, and asks its voter no more', async ({ admin, agent, caller }) => {
    const page = await openPage()
    await signIn(page, admin)
    const bob = await caller('bob', 'approver')
    const held = agent.ask('two.people', { a: 1 })
    const shown = page.getByRole('article')
    await shown.getByText('0 of 2 approvals').waitFor()
    await shown.focus()
    await page.keyboard.press('y')
    await shown.getByText('1 of 2 approvals').waitFor()
    expect(await shown.getByRole('button', { name: 'Deny' }).count()).toBe(0)
    const [record] = await admin.pending()
    await bob.decide(record!.id, 'approve')
    await shown.getByText('Approved').waitFor()
    expect((await held).status).toBe(200)
  })

  scenario('an observer sees everything and no button', async ({ admin, agent, caller }) => {
    const page = await openPage()
    await signIn(page, await caller('olga', 'observer'))
    const held = agent.ask('stripe.refund', { amount: 1 })
    const shown = page.getByRole('article')
    await shown.waitFor()
    expect(await shown.getByRole('button').count()).toBe(0)
    await shown.focus()
    await page.keyboard.press('y')
    const [record] = await admin.pending()
    expect(await decisionsOf(admin, record!.id)).toBe(0)
    await admin.decide(record!.id, 'deny')
    await held
  })

  scenario('nobody decides: the card says that it expired', async ({ admin, agent }) => {
    const page = await openPage()
    await signIn(page, admin)
    const held = agent.ask('quick.look', {})
    await page.getByRole('article').getByText('Nobody decided in time.').waitFor()
    expect((await held).body.code).toBe('approval_expired')
  })

  scenario('at zero the card waits for the word of the server', async ({ admin, agent }) => {
    const page = await openPage()
    await page.clock.install()
    await signIn(page, admin)
    const held = agent.ask('stripe.refund', { amount: 1 })
    const shown = page.getByRole('article')
    await shown.waitFor()
    await page.clock.fastForward('10:00')
    await shown.getByText('waiting for the server').waitFor()
    await shown.focus()
    await page.keyboard.press('y')
    expect((await held).status).toBe(200)
  })
})
