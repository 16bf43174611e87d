import { globFault } from '../glob.ts'
import { MEANINGS } from './options.ts'

/** What a condition asks of a command line. */
export interface CommandSpec {
  /** Programs with their subcommands, each word a glob: `[['git', 'push'], ['mkfs*']]`. Empty: any program. */
  runs: readonly (readonly string[])[]
  /** Options that it must have: `recursive`, `--force`. */
  with: readonly string[]
  /** Options that it must not have. */
  without: readonly string[]
  /** Globs on its words and on the files that it reads. */
  args: readonly string[]
  /** Globs on the files that redirections and well-known programs write. */
  writes: readonly string[]
  /** What it must be run by: `sudo`, `ssh`. */
  via: readonly string[]
  /** True: what cannot be read does not count. False: what cannot be read alone does. Null: both count. */
  readable: boolean | null
}

/** `strict` for rules that deny or ask, `narrow` for rules that allow. */
export type Polarity = 'strict' | 'narrow'

const LISTS = ['runs', 'with', 'without', 'args', 'writes', 'via'] as const
const KEYS = [...LISTS, 'readable']
const MAX_ITEMS = 200

/** Reads the value of `command:`, or says what is wrong with it. */
export function parseCommandSpec(value: unknown): CommandSpec | string {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return `command is a mapping of ${KEYS.join(', ')}`
  const given = new Map<string, unknown>(Object.entries(value))
  if (given.size === 0) return `command is empty: say ${KEYS.join(', ')}`
  for (const key of given.keys()) if (!KEYS.includes(key)) return `command has no "${key}": it knows ${KEYS.join(', ')}`
  const readable = given.get('readable') ?? null
  if (readable !== null && typeof readable !== 'boolean') return 'readable is true or false'
  if (readable === false && given.size > 1)
    return 'readable: false stands alone: of what cannot be read no more is known'

  const lists = new Map<string, string[]>()
  for (const key of LISTS) {
    const list = listOf(given.get(key))
    if (!list) return `${key} is a text or a list of texts that are not empty`
    if (list.length > MAX_ITEMS) return `${key} has more than ${MAX_ITEMS} entries`
    for (const text of list) {
      const fault = key === 'with' || key === 'without' ? optionFault(text) : globFault(text)
      if (fault) return `${key}: ${fault}`
    }
    lists.set(key, list)
  }
  const at = (key: (typeof LISTS)[number]) => lists.get(key) ?? []
  return {
    runs: at('runs').map((text) => text.trim().split(/\s+/)),
    with: at('with'),
    without: at('without'),
    args: at('args'),
    writes: at('writes'),
    via: at('via'),
    readable,
  }
}

function listOf(value: unknown): string[] | undefined {
  if (value === undefined) return []
  const list: unknown[] = Array.isArray(value) ? value : [value]
  const texts = list.filter((each): each is string => typeof each === 'string' && each.trim() !== '')
  return texts.length === list.length && list.length > 0 ? texts : undefined
}

/** An option is meant by a name that the tables know, or spelled as it is typed: `-f`, `--force`, `-delete`. */
function optionFault(option: string): string | undefined {
  if (/^-{1,2}[A-Za-z0-9?][\w.-]*$/.test(option) || MEANINGS.has(option)) return undefined
  return `"${option}" is no option: spell it with its hyphens, or name one of ${[...MEANINGS].sort().join(', ')}`
}
