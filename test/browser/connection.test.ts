import { expect } from 'vitest'
import { card, inBrowser, isLive, signIn } from '../support/browser.ts'
import { scenario } from '../support/server.ts'

inBrowser('the connection of the page', (openPage) => {
  scenario('a restarted server: the page reconnects, and what waits still waits', async (world) => {
    const { admin, agent } = world
    const page = await openPage()
    await signIn(page, admin)
    const held = agent.ask('stripe.refund', { amount: 1 }, { context: { summary: 'Before the restart' } })
    const shown = card(page, 'Before the restart')
    await shown.waitFor()
    await shown.getByRole('textbox').fill('half a reason')

    const reconnecting = page.locator('.link-reconnecting').waitFor()
    await world.restart()
    await reconnecting
    expect(await held).toMatchObject({ status: 503, body: { code: 'shutting_down' } })
    await isLive(page)
    expect(await shown.count()).toBe(1)
    expect(await shown.getByRole('textbox').inputValue()).toBe('half a reason')

    const again = agent.ask('stripe.refund', { amount: 2 }, { context: { summary: 'After the restart' } })
    await card(page, 'After the restart').waitFor()
    await shown.getByRole('button', { name: 'Approve' }).click()
    await shown.getByText('Approved').waitFor()
    await card(page, 'After the restart').getByRole('button', { name: 'Deny' }).click()
    expect((await again).status).toBe(403)
  })

  for (const { told, after } of [
    { told: 'the server tells what was missed', after: true },
    { told: 'the server no longer knows what was missed', after: false },
  ])
    scenario(`a decision made while the connection was away settles the card: ${told}`, async ({ admin, agent }) => {
      const page = await openPage()
      let cut: () => Promise<void> = async () => {}
      const resets: boolean[] = []
      await page.routeWebSocket(/\/v1\/stream$/, (socket) => {
        const server = socket.connectToServer()
        socket.onMessage((message) => server.send(after ? message : '{"type":"subscribe"}'))
        server.onMessage((message) => {
          const { type, reset } = JSON.parse(String(message))
          if (type === 'snapshot') resets.push(reset)
          socket.send(message)
        })
        cut = () => socket.close({ code: 1013 })
      })
      await signIn(page, admin)
      const held = agent.ask('stripe.refund', { amount: 1 })
      const shown = page.getByRole('article')
      await shown.waitFor()
      const [record] = await admin.pending()

      await cut()
      await admin.decide(record!.id, 'deny', { reason: 'meanwhile' })
      await held
      await shown.locator('.reason').getByText('meanwhile').waitFor()
      await isLive(page)
      expect(resets).toEqual([true, !after])
    })

  scenario('without a WebSocket a decision goes by HTTP', async ({ admin, agent }) => {
    const page = await openPage()
    let allowed = true
    let cut: () => Promise<void> = async () => {}
    await page.routeWebSocket(/\/v1\/stream$/, (socket) => {
      if (!allowed) return socket.close({ code: 1013 })
      socket.connectToServer()
      cut = () => socket.close({ code: 1013 })
    })
    await signIn(page, admin)
    const held = agent.ask('stripe.refund', { amount: 1 })
    const shown = page.getByRole('article')
    await shown.waitFor()
    allowed = false
    await cut()
    await page.locator('.link-reconnecting').waitFor()
    await shown.getByRole('button', { name: 'Approve' }).click()
    expect((await held).status).toBe(200)
    await shown.getByText('via HTTP').waitFor()
  })
})
