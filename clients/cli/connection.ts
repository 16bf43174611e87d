import { type Client, createClient } from '../sdk/index.ts'
import { type ClientOptions, createTransport, type Transport } from '../sdk/transport.ts'
import type { Deps } from './deps.ts'
import { usageError } from './failure.ts'

export const DEFAULT_DATA = '.countersign'

export interface ConnectionOptions {
  url?: string
  token?: string
  data?: string
}

/**
 * A client for the server that the options, the environment, or the data directory names. Nothing is sent yet.
 * Rejects with CliError 2 when none is known.
 */
export async function connect(options: ConnectionOptions, deps: Deps): Promise<{ client: Client; url: string }> {
  const { url, token } = await findServer(options, deps)
  return { client: clientFor(url, token, deps), url }
}

/** The same for what the SDK has no words for. */
export async function connectPlainly(options: ConnectionOptions, deps: Deps): Promise<Transport> {
  const { url, token } = await findServer(options, deps)
  return createTransport(clientOptions(url, token, deps))
}

async function findServer(options: ConnectionOptions, deps: Deps): Promise<{ url: string; token: string }> {
  const dataDir = options.data ?? DEFAULT_DATA
  const givenUrl = options.url ?? deps.env.COUNTERSIGN_URL
  const givenToken = options.token ?? deps.env.COUNTERSIGN_TOKEN
  const owner = givenUrl !== undefined && givenToken !== undefined ? undefined : await deps.local.owner(dataDir)

  const url = givenUrl ?? owner?.url
  if (url === undefined)
    throw usageError(
      `No server is known in ${dataDir}.\nStart one here (countersign up), or give --url and --token ` +
        '(or COUNTERSIGN_URL and COUNTERSIGN_TOKEN).',
    )
  // The owner's token goes to the owner's own server and nowhere else.
  const token = givenToken ?? (owner && sameOrigin(owner.url, url) ? owner.token : undefined)
  if (token === undefined) throw usageError(`No token for ${url}: give --token or COUNTERSIGN_TOKEN.`)
  return { url, token }
}

/** A client that fails at once where a retry would keep a person waiting, and says what it is. */
export const clientFor = (url: string, key: string, deps: Pick<Deps, 'version'>): Client =>
  createClient(clientOptions(url, key, deps))

const clientOptions = (url: string, key: string, { version }: Pick<Deps, 'version'>): ClientOptions => ({
  url,
  key,
  retryForMs: 0,
  fetch: (input, init) => {
    const headers = new Headers(init?.headers)
    headers.set('user-agent', `countersign-cli/${version}`)
    return fetch(input, { ...init, headers })
  },
})

const sameOrigin = (a: string, b: string): boolean =>
  URL.canParse(a) && URL.canParse(b) && new URL(a).origin === new URL(b).origin
