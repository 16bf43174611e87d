import type { ApprovalView, Client } from '../sdk/index.ts'

const PAGE = 200

/** Everything that is pending, page by page; whoever has seen enough stops asking. */
export async function* pendingPages(client: Client): AsyncGenerator<ApprovalView[]> {
  let after: string | undefined
  do {
    const page = await client.approvals.list({
      status: 'pending',
      limit: PAGE,
      ...(after === undefined ? {} : { after }),
    })
    yield page.items
    after = page.next ?? undefined
  } while (after !== undefined)
}
