import { forEachChild, type Statement, type SyntaxNode, type Word } from 'unbash'

/** Programs of the shell that may set a variable without naming it where it can be read. */
export const SETTERS = new Set(
  '. source eval read mapfile readarray getopts let declare typeset local unset wait printf trap coproc shopt set export readonly command builtin'.split(
    ' ',
  ),
)
const ASSIGNING = /^(?:[-+*/%&|^]|<<|>>)?=$|^(?:\+\+|--)$/
/** A longer value counts as unknown: `B=$A$A; C=$B$B` doubles with every step. */
const MAX_VALUE = 1024
const NUMBER = /^-?\d+$/

/**
 * The variables whose value the text itself tells: set once in the whole line, to a known text, by a statement of its
 * own that nothing can skip. What was set before the line began is never known, but for the home and working folder.
 */
export class Constants {
  readonly #values = new Map<string, string>()
  readonly #counts = new Map<string, number>()
  readonly #texts = new Set<string>()
  #anySet = false

  constructor(root: SyntaxNode) {
    const open: SyntaxNode[] = [root]
    for (let node = open.pop(); node; node = open.pop()) {
      this.#note(node)
      forEachChild(node, (child) => open.push(child))
    }
  }

  /** To be called for each statement after it was read, in the order of the text. */
  settle(statement: Statement, evaluate: (word: Word) => string | undefined): void {
    // With separators of its own, a value falls into other words than it shows.
    if (statement.background || this.#anySet || this.#counts.has('IFS')) return
    const { command } = statement
    const first = command.type === 'AndOr' ? command.commands[0] : command
    if (first?.type !== 'Command' || first.name || first.suffix.length > 0) return
    for (const part of first.prefix) {
      if (part.type !== 'Assignment' || part.value.type !== 'Word') continue
      if (part.append || part.index || this.#counts.get(part.name) !== 1) continue
      const value = evaluate(part.value)
      if (value !== undefined && value.length <= MAX_VALUE) this.#values.set(part.name, value)
    }
  }

  valueOf(name: string): string | undefined {
    const value = this.#values.get(name)
    if (value !== undefined || this.#anySet || this.#counts.has(name)) return value
    return name === 'HOME' ? '~' : name === 'PWD' ? '.' : undefined
  }

  /** To be called when a program that may set any variable turns up where the text does not show it. */
  forget(): void {
    this.#anySet = true
    this.#values.clear()
  }

  /** False when the variable may hold text, which arithmetic would run as code: `a[$(…)]`. */
  isNumber(name: string): boolean {
    return !this.#anySet && !this.#texts.has(name)
  }

  #note(node: SyntaxNode): void {
    switch (node.type) {
      case 'Assignment': {
        const plain = node.value.type === 'Word' && !node.append
        this.#count(node.name, plain && isNumeric(node.value))
        break
      }
      case 'For':
      case 'Select':
        this.#count(node.name.value, (node.wordlist ?? []).every(isNumeric) && node.wordlist !== undefined)
        break
      case 'ParameterExpansion':
        if (node.operation?.type === 'Default' && node.operation.operator.endsWith('='))
          this.#count(node.parameter, isNumeric(node.operation.operand))
        break
      case 'FileDescriptorVariable':
        this.#count(node.name, true)
        break
      case 'ArithmeticBinary':
      case 'ArithmeticUnary':
        if (ASSIGNING.test(node.operator)) this.#countArithmetic(node)
        break
      case 'Coproc':
        this.#anySet = true
        break
      case 'Command':
        // A name that is itself an expansion is for the reader: it is unreadable, or a constant that it looks up.
        if (node.name && SETTERS.has(node.name.value)) this.#setBy(node.name.value, node.suffix)
        break
    }
  }

  #countArithmetic(node: SyntaxNode): void {
    forEachChild(node, (child) => {
      if (child.type === 'ArithmeticWord') for (const name of namesIn(child.value)) this.#count(name, true)
    })
  }

  /** `set -e`, `printf …`, `read -r name` and the like leave other variables alone. */
  #setBy(name: string, suffix: readonly SyntaxNode[]): void {
    const words = suffix.flatMap((part) => (part.type === 'Word' ? [part] : []))
    const plain = words.every((word) => word.parts === undefined)
    if (name === 'set' && plain && words.every(({ value }) => value !== '-k')) return
    if (name === 'printf' && words[0] && !words[0].value.startsWith('-v') && !/^[$`]/.test(words[0].text)) return
    if ((name === 'export' || name === 'readonly') && plain && !words.some(({ value }) => value.includes('='))) return
    if ((name === 'command' || name === 'builtin') && words[0] && !words[0].parts && !SETTERS.has(words[0].value))
      return
    if (name === 'wait' && plain && !words.some(({ value }) => value.startsWith('-'))) return
    if (name === 'trap' || name === 'shopt') return
    if (
      (name === 'read' || name === 'unset' || name === 'local' || name === 'mapfile' || name === 'readarray') &&
      plain
    ) {
      for (const { value } of words) this.#count(value.replace(/[[=].*$/s, ''), false)
      return
    }
    this.#anySet = true
  }

  #count(name: string, numeric: boolean): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1)
    if (!numeric) this.#texts.add(name)
  }
}

const isNumeric = (node: SyntaxNode): boolean =>
  node.type === 'Word' &&
  (node.parts === undefined
    ? NUMBER.test(node.value)
    : node.parts.every((part) => part.type === 'ArithmeticExpansion' || isRange(part)))

const isRange = (part: SyntaxNode): boolean => part.type === 'BraceExpansion' && /^\{-?\d+\.\.-?\d+\}$/.test(part.text)

/** The names of variables in an arithmetic text. */
export const namesIn = (text: string): string[] =>
  [...text.matchAll(/[A-Za-z_]\w*|\d\w*(?:#\w*)?/g)].flatMap(([name]) => (/^\d/.test(name) ? [] : [name]))
