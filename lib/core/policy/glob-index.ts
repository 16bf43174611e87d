import { added } from './short-list.ts'

/** Finds rules by a whole name, or by what a text begins or ends with, without looking at the others. */
export class GlobIndex {
  readonly #fromEnd: boolean
  readonly #names = new Map<string, number[]>()
  readonly #prefixes = new Map<string, number[]>()
  /** The lengths that prefixes have, ascending, with the `#lastBit` of each: few texts are looked up for all of them. */
  #lengths: { length: number; lastBits: number }[] = []

  /** `fromEnd` takes what is added as a prefix for what a text ends with. */
  constructor(fromEnd: boolean) {
    this.#fromEnd = fromEnd
  }

  addName(name: string, rule: number): void {
    add(this.#names, name, rule)
  }

  addPrefix(prefix: string, rule: number): void {
    add(this.#prefixes, prefix, rule)
    const { length } = prefix
    const lastBits = this.#lastBit(prefix, length)
    const known = this.#lengths.find((each) => each.length === length)
    if (known) known.lastBits |= lastBits
    else this.#lengths = [...this.#lengths, { length, lastBits }].sort((a, b) => a.length - b.length)
  }

  /** What was found, and all rules; some come twice. */
  collectAll(found: number[]): number[] {
    let all = found
    for (const rulesOf of [this.#names, this.#prefixes])
      for (const rules of rulesOf.values()) all = addedAll(all, rules)
    return all
  }

  /** What was found, and the rules that may fit the text; some may not, and some come twice. */
  collect(text: string, found: number[]): number[] {
    let all = addedAll(found, this.#names.get(text))
    for (const { length, lastBits } of this.#lengths) {
      if (length > text.length) break
      if ((lastBits & this.#lastBit(text, length)) === 0) continue
      all = addedAll(all, this.#prefixes.get(this.#fromEnd ? text.slice(text.length - length) : text.slice(0, length)))
    }
    return all
  }

  /** One of 32 bits for the last character of the text's prefix of this length; for the first, where it is from the end. */
  #lastBit(text: string, length: number): number {
    return 1 << text.charCodeAt(this.#fromEnd ? text.length - length : length - 1)
  }
}

function addedAll(found: number[], rules: readonly number[] | undefined): number[] {
  if (rules === undefined) return found
  let all = found
  for (const rule of rules) all = added(all, rule)
  return all
}

function add(rulesOf: Map<string, number[]>, key: string, rule: number): void {
  const rules = rulesOf.get(key)
  if (rules) rules.push(rule)
  else rulesOf.set(key, [rule])
}
