import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml'
import { parseDuration } from '../duration.ts'

/** A fault of a policy file. Lines and columns begin at 1. */
export interface PolicyError {
  /** `rules[0].approval.timeout`; empty for the file as a whole. */
  path: string
  message: string
  line: number
  column: number
}

type Step = string | number

/** A YAML text, the faults found in it, and where they are. */
export class PolicySource {
  readonly errors: PolicyError[] = []
  readonly #lines = new LineCounter()
  readonly #document: Document

  constructor(text: string) {
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false })
    for (const { message, pos } of [...this.#document.errors, ...this.#document.warnings])
      this.#add([], message, pos[0])
  }

  /** The whole file, or undefined when it is no YAML at all. */
  root(): Place | undefined {
    if (this.errors.length > 0) return undefined
    try {
      return new Place(this, [], this.#document.toJS({ maxAliasCount: 100 }), '')
    } catch {
      this.#add([], 'the aliases cannot be resolved', 0)
      return undefined
    }
  }

  fail(path: readonly Step[], message: string): void {
    this.#add(path, message, this.#offsetOf(path))
  }

  #add(path: readonly Step[], message: string, offset: number): void {
    const { line, col } = this.#lines.linePos(offset)
    this.errors.push({ path: pathText(path), message, line: Math.max(line, 1), column: Math.max(col, 1) })
  }

  /** Where the deepest node of the path that exists stands: the key for what a mapping holds. */
  #offsetOf(path: readonly Step[]): number {
    let node: unknown = this.#document.contents
    let offset = startOf(node) ?? 0
    for (const step of path) {
      if (isAlias(node)) node = node.resolve(this.#document)
      if (isMap(node)) {
        const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === step)
        if (!pair) break
        offset = startOf(pair.key) ?? offset
        node = pair.value
      } else if (isSeq(node)) {
        node = node.items[Number(step)]
        offset = startOf(node) ?? offset
      } else break
    }
    return offset
  }
}

const startOf = (node: unknown): number | undefined => (node as Node | null | undefined)?.range?.[0]

const pathText = (path: readonly Step[]): string =>
  path
    .map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`))
    .join('')
    .replace(/^\./, '')

/** What newer versions know; named so that the message does not call it a typing error. */
const LATER = new Set(['grants'])

/** A value of the file with its place. Every reader reports what is wrong and then returns undefined. */
export class Place {
  readonly value: unknown
  readonly #source: PolicySource
  readonly #path: readonly Step[]
  /** Names the rule in messages. */
  readonly #label: string

  constructor(source: PolicySource, path: readonly Step[], value: unknown, label: string) {
    this.#source = source
    this.#path = path
    this.value = value
    this.#label = label
  }

  labelled(label: string): Place {
    return new Place(this.#source, this.#path, this.value, label)
  }

  fail(message: string): undefined {
    this.#source.fail(this.#path, this.#label === '' ? message : `${this.#label}: ${message}`)
    return undefined
  }

  #inner(step: Step, value: unknown): Place {
    return new Place(this.#source, [...this.#path, step], value, this.#label)
  }

  /** The members by name. Unknown keys are faults; the known ones are still returned. */
  fields<K extends string>(known: readonly K[]): Partial<Record<K, Place>> | undefined {
    const { value } = this
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      return this.fail(`this must be a mapping with ${known.join(', ')}`)
    const fields: Partial<Record<K, Place>> = {}
    for (const [key, inner] of Object.entries(value)) {
      const place = this.#inner(key, inner)
      const name = known.find((each) => each === key)
      if (name !== undefined) fields[name] = place
      else if (LATER.has(key)) place.fail(`"${key}" is not supported by this version here`)
      else place.fail(`unknown key "${key}": the keys here are ${known.join(', ')}`)
    }
    return fields
  }

  /** Reports that a key is missing. */
  missing(key: string): undefined {
    return this.fail(`"${key}" is missing`)
  }

  has(key: string): boolean {
    return typeof this.value === 'object' && this.value !== null && key in this.value
  }

  items(): Place[] | undefined {
    if (!Array.isArray(this.value)) return this.fail('this must be a list')
    return this.value.map((item, index) => this.#inner(index, item))
  }

  /** One value or a list of at least one. */
  oneOrMore(): Place[] | undefined {
    if (!Array.isArray(this.value)) return [this]
    return this.value.length === 0 ? this.fail('the list is empty') : this.items()
  }

  text(maxLength: number): string | undefined {
    const { value } = this
    if (typeof value !== 'string' || value === '') return this.fail('this must be text')
    if (value.length > maxLength) return this.fail(`this must have at most ${maxLength} characters`)
    if (/\p{Surrogate}/u.test(value)) return this.fail('this text holds half a character')
    return value
  }

  oneOf<W extends string>(words: readonly W[]): W | undefined {
    return words.find((word) => word === this.value) ?? this.fail(`this must be one of ${words.join(', ')}`)
  }

  integer(min: number, max: number): number | undefined {
    const { value } = this
    if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value
    return this.fail(`this must be a whole number from ${min} to ${max}`)
  }

  /** Milliseconds. `min` and `max` are spelled as durations too. */
  duration(min: string, max: string): number | undefined {
    const ms = typeof this.value === 'string' ? parseDuration(this.value) : undefined
    if (ms === undefined) return this.fail('this must be a duration such as 30s, 5m, 2h or 7d')
    if (ms < (parseDuration(min) ?? 0) || ms > (parseDuration(max) ?? 0))
      return this.fail(`this must be between ${min} and ${max}`)
    return ms
  }
}

const MAX_LIST = 1_000

/** A list of the file, if it is not too long. */
export function bounded<T>(place: Place | undefined, list: T[] | undefined): T[] | undefined {
  return list && list.length > MAX_LIST ? place?.fail(`there may be at most ${MAX_LIST} entries`) : list
}
