import { literalPrefix } from './glob.ts'

interface Node {
  /** Numbers of the rules with a glob whose text before the first `*` ends here. */
  rules: number[]
  next: Map<string, Node>
}

const emptyNode = (): Node => ({ rules: [], next: new Map() })

/** Finds the rules that may match a tool without looking at the others: by its name, and by what its globs begin with. */
export class ToolIndex {
  readonly #names = new Map<string, number[]>()
  readonly #globs = emptyNode()

  add(glob: string, rule: number): void {
    if (glob.includes('*')) this.#nodeOf(literalPrefix(glob)).rules.push(rule)
    else this.#names.set(glob, [...(this.#names.get(glob) ?? []), rule])
  }

  #nodeOf(prefix: string): Node {
    let node = this.#globs
    for (const char of prefix) {
      const next = node.next.get(char) ?? emptyNode()
      node.next.set(char, next)
      node = next
    }
    return node
  }

  /** Adds the numbers of the rules whose globs may match; some may not, and some come twice. */
  collect(tool: string, into: number[]): void {
    for (const rule of this.#names.get(tool) ?? []) into.push(rule)
    let node: Node | undefined = this.#globs
    for (const rule of node.rules) into.push(rule)
    for (const char of tool) {
      node = node.next.get(char)
      if (!node) return
      for (const rule of node.rules) into.push(rule)
    }
  }
}
