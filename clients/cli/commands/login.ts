import { Command } from 'commander'
import type { Deps } from '../deps.ts'
import { withData } from '../options.ts'
import { jsonText } from '../printable.ts'

export function loginCommand(deps: Deps): Command {
  return withData(new Command('login'))
    .description('print a link that signs you in to the page, once, within 10 minutes')
    .action(async ({ data, json }: { data: string; json?: boolean }) => {
      const url = await deps.local.loginLink(data)
      deps.terminal.out(json ? jsonText({ url }) : url)
    })
}
