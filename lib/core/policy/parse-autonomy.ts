import { readConditions } from './parse-condition.ts'
import { readGlobs, readMatch } from './parse-match.ts'
import { type Autonomy, type Classifier, LEVELS, type Level, type LevelTerms } from './policy.ts'
import { bounded, type Place } from './source.ts'

/** The categories that nobody should give away without thinking, where the policy does not say otherwise. */
const GRAVE = [
  '*:production',
  '*:delete',
  '*:destroy',
  'payment:*',
  'secret:*',
  'access:*',
  'data:export',
  'message:external',
]

/** What the levels mean where the policy does not say otherwise. */
const BUILT_IN: Record<Level, LevelTerms> = {
  full: { alone: ['*'], ask: [] },
  semi: { alone: ['*'], ask: GRAVE },
  supervised: { alone: ['*:read'], ask: ['secret:*'] },
  locked: { alone: [], ask: ['*'] },
}

export const CLASSIFIER_KEYS = ['label', 'match', 'when'] as const
export const AUTONOMY_KEYS = ['default', 'levels'] as const
export const LEVEL_KEYS = ['alone', 'ask'] as const

const MAX_CATEGORY = 100

/** Reads the rules that give actions their categories. */
export function readClassify(place: Place | undefined): Classifier[] {
  return (bounded(place, place?.items()) ?? []).flatMap((item) => {
    const fields = item.fields(CLASSIFIER_KEYS)
    if (!fields) return []
    const categories = fields.label ? readCategories(fields.label) : item.missing('label')
    const match = fields.match ? readMatch(fields.match) : item.missing('match')
    const when = readConditions(fields.when)
    return categories && match ? [{ categories, match, when }] : []
  })
}

function readCategories(place: Place): string[] | undefined {
  const names = bounded(place, place.oneOrMore())?.map((item) => {
    const name = item.text(MAX_CATEGORY)
    if (name !== undefined && !/^[\w.-]+(?::[\w.-]+)*$/.test(name))
      return item.fail('a category is words of letters, digits, ".", "_" and "-" with colons between: data:delete')
    return name
  })
  return names?.filter((name) => name !== undefined)
}

/** Reads the levels; what is not said stays as built in. */
export function readAutonomy(place: Place | undefined): Autonomy {
  const fields = place?.fields(AUTONOMY_KEYS)
  const given = fields?.levels?.fields(LEVELS)
  const levels = Object.fromEntries(
    LEVELS.map((level) => [level, readLevel(given?.[level], BUILT_IN[level])]),
  ) as Record<Level, LevelTerms>
  return { default: fields?.default?.oneOf(LEVELS) ?? 'semi', levels }
}

function readLevel(place: Place | undefined, builtIn: LevelTerms): LevelTerms {
  const fields = place?.fields(LEVEL_KEYS)
  const list = (inner: Place | undefined) => inner && (inner.items()?.length ? readGlobs(inner) : [])
  return { alone: list(fields?.alone) ?? builtIn.alone, ask: list(fields?.ask) ?? builtIn.ask }
}
