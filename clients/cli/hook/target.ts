import { DEFAULT_DATA } from '../connection.ts'
import type { Deps } from '../deps.ts'
import { usageError } from '../failure.ts'

export interface HookOptions {
  url?: string
  token?: string
  data?: string
}

/** Where hooks ask, and as which agent. */
export interface HookTarget {
  url: string
  key: string
  /** The autonomy level of this session, or null: the agent's own holds. */
  autonomy: string | null
}

/**
 * The gate and the agent key that the options, the environment, or the data directory names. COUNTERSIGN_TOKEN counts
 * where it holds an agent's key: a person's token would be refused. Rejects with CliError 2 when one is not known.
 */
export async function hookTarget(options: HookOptions, { env, local }: Deps): Promise<HookTarget> {
  const data = options.data ?? DEFAULT_DATA
  const givenUrl = options.url || env.COUNTERSIGN_URL || undefined
  const agentToken = env.COUNTERSIGN_TOKEN?.startsWith('csk_') ? env.COUNTERSIGN_TOKEN : undefined
  const givenKey = options.token || env.COUNTERSIGN_KEY || agentToken
  const owner = givenUrl !== undefined && givenKey !== undefined ? undefined : await local.owner(data)
  const url = (givenUrl ?? owner?.url)?.replace(/\/+$/, '')
  if (url === undefined)
    throw usageError(`No gate is known in ${data}: start one there (countersign up), or give --url or COUNTERSIGN_URL.`)
  if (!/^https?:\/\/[^/]/.test(url) || !URL.canParse(url)) throw usageError('--url takes http://… or https://…')
  const isOwners = owner !== undefined && new URL(owner.url).origin === new URL(url).origin
  const key = givenKey ?? (isOwners ? owner.agentKey : undefined)
  if (key === undefined) throw usageError(`No agent key for ${url}: set COUNTERSIGN_KEY, or give --token.`)
  const autonomy = env.COUNTERSIGN_AUTONOMY || null
  if (autonomy !== null && !/^\w{1,50}$/.test(autonomy))
    throw usageError('COUNTERSIGN_AUTONOMY takes full, semi, supervised or locked.')
  return { url, key, autonomy }
}
