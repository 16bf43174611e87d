import { Command } from 'commander'
import type { Deps } from '../deps.ts'
import type { RunningService, ServiceName } from '../local.ts'
import { wholeNumber } from '../options.ts'

interface ServiceCommandOptions {
  port: number
  host: string
  waitFor: number
  policy?: string
  config?: string
}

const SERVICES: { name: ServiceName; port: number; what: string; needs: string }[] = [
  {
    name: 'gate',
    port: 4100,
    what: 'where agents ask',
    needs: 'KAFKA_BROKERS, COUNTERSIGN_DECIDER_URL, COUNTERSIGN_SERVICE_KEY',
  },
  {
    name: 'notifier',
    port: 4101,
    what: 'streams and the page for people',
    needs: 'KAFKA_BROKERS, COUNTERSIGN_DECIDER_URL, COUNTERSIGN_SERVICE_KEY',
  },
  {
    name: 'decider',
    port: 4102,
    what: 'keeps the record and takes decisions',
    needs: 'KAFKA_BROKERS, MONGODB_URL, COUNTERSIGN_SERVICE_KEY',
  },
]

/** `gate`, `notifier` and `decider`: one service of a fleet in this process. */
export const serviceCommands = (deps: Deps): Command[] =>
  SERVICES.map(({ name, port, what, needs }) => {
    const command = new Command(name)
      .description(`run one ${name} of a fleet over Kafka and MongoDB: ${what}`)
      .option('--port <n>', 'port; 0 takes a free one', wholeNumber(0, 65_535), port)
      .option('--host <address>', 'address to listen on', '127.0.0.1')
      .option('--wait-for <seconds>', 'how long to wait for engines that are away', wholeNumber(0, 86_400), 0)
      .option('--config <file>', 'configuration (default: countersign.yaml, if it is there)')
    if (name === 'gate') command.option('--policy <file>', 'the rules (default: policy.yaml, if it is there)')
    return command
      .action((options: ServiceCommandOptions) => serveUntilStopped(name, options, deps))
      .addHelpText('after', `\nNeeds in the environment: ${needs}.`)
  })

async function serveUntilStopped(name: ServiceName, options: ServiceCommandOptions, deps: Deps): Promise<void> {
  const { port, host, waitFor, policy, config } = options
  const interrupted = deps.interrupted()
  let service: RunningService | undefined
  // Who tells the whole fleet to reload must not end its other services.
  deps.onHangup(() => service?.reloadPolicy?.())
  service = await deps.local.service(name, {
    port,
    host,
    waitForMs: waitFor * 1_000,
    ...(policy === undefined ? {} : { policyFile: policy }),
    ...(config === undefined ? {} : { configFile: config }),
  })
  deps.terminal.out(`ready ${service.url}`)
  if (!interrupted.aborted)
    await new Promise<void>((resolve) => interrupted.addEventListener('abort', () => resolve(), { once: true }))
  await service.close()
}
