interface Node {
  /** Numbers of the rules whose prefix ends here. */
  rules: number[]
  next: Map<number, Node>
}

const emptyNode = (): Node => ({ rules: [], next: new Map() })

/** Finds rules by a whole name, or by what a text begins or ends with, without looking at the others. */
export class GlobIndex {
  readonly #fromEnd: boolean
  readonly #names = new Map<string, number[]>()
  readonly #prefixes = emptyNode()
  #hasPrefixes = false

  /** `fromEnd` takes what is added as a prefix for what a text ends with. */
  constructor(fromEnd: boolean) {
    this.#fromEnd = fromEnd
  }

  addName(name: string, rule: number): void {
    const rules = this.#names.get(name)
    if (rules) rules.push(rule)
    else this.#names.set(name, [rule])
  }

  addPrefix(prefix: string, rule: number): void {
    this.#hasPrefixes = true
    let node = this.#prefixes
    for (let at = 0; at < prefix.length; at++) {
      const code = prefix.charCodeAt(this.#fromEnd ? prefix.length - 1 - at : at)
      const next = node.next.get(code) ?? emptyNode()
      node.next.set(code, next)
      node = next
    }
    node.rules.push(rule)
  }

  /** Adds the numbers of the rules that may fit the text; some may not, and some come twice. */
  collect(text: string, into: number[]): void {
    const named = this.#names.get(text)
    if (named) for (const rule of named) into.push(rule)
    if (!this.#hasPrefixes) return
    let node: Node | undefined = this.#prefixes
    for (let at = 0; ; at++) {
      for (const rule of node.rules) into.push(rule)
      if (at === text.length) return
      node = node.next.get(text.charCodeAt(this.#fromEnd ? text.length - 1 - at : at))
      if (!node) return
    }
  }
}
