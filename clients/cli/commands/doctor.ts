import { Command } from 'commander'
import type { Deps } from '../deps.ts'
import type { HookOptions } from '../hook/target.ts'

export const doctorCommand = (deps: Deps): Command =>
  new Command('doctor')
    .description('check that the hooks of Claude Code reach the gate, and block when they do not')
    .option('--url <url>', 'the gate (COUNTERSIGN_URL; default: the one of the data directory)')
    .option('--token <key>', 'agent key (COUNTERSIGN_KEY; default: the one of the data directory)')
    .option('--data <dir>', 'data directory', '.countersign')
    .option('--json', 'print JSON')
    .action(async (options: HookOptions & { json?: boolean }) =>
      (await import('../hook/doctor.ts')).doctor(options, deps),
    )
