/** Finds rules by a whole name, or by what a text begins or ends with, without looking at the others. */
export class GlobIndex {
  readonly #fromEnd: boolean
  readonly #names = new Map<string, number[]>()
  readonly #prefixes = new Map<string, number[]>()
  /** The lengths that prefixes have, ascending: a text is looked up once for each. */
  #lengths: number[] = []

  /** `fromEnd` takes what is added as a prefix for what a text ends with. */
  constructor(fromEnd: boolean) {
    this.#fromEnd = fromEnd
  }

  addName(name: string, rule: number): void {
    add(this.#names, name, rule)
  }

  addPrefix(prefix: string, rule: number): void {
    add(this.#prefixes, prefix, rule)
    if (!this.#lengths.includes(prefix.length)) this.#lengths = [...this.#lengths, prefix.length].sort((a, b) => a - b)
  }

  /** Adds the numbers of all rules; some come twice. */
  collectAll(into: number[]): void {
    for (const rulesOf of [this.#names, this.#prefixes])
      for (const rules of rulesOf.values()) for (const rule of rules) into.push(rule)
  }

  /** Adds the numbers of the rules that may fit the text; some may not, and some come twice. */
  collect(text: string, into: number[]): void {
    const named = this.#names.get(text)
    if (named) for (const rule of named) into.push(rule)
    for (const length of this.#lengths) {
      if (length > text.length) return
      const begun = this.#prefixes.get(this.#fromEnd ? text.slice(text.length - length) : text.slice(0, length))
      if (begun) for (const rule of begun) into.push(rule)
    }
  }
}

function add(rulesOf: Map<string, number[]>, key: string, rule: number): void {
  const rules = rulesOf.get(key)
  if (rules) rules.push(rule)
  else rulesOf.set(key, [rule])
}
