import {
  type ArithmeticCommand,
  type Command as CommandNode,
  forEachChild,
  type ParsedScript,
  type Pipeline,
  parse,
  type SyntaxNode,
  type TestCommand,
} from 'unbash'
import type { Command } from './command-line.ts'
import { Constants, namesIn, SETTERS } from './constants.ts'
import { expand, expandAssignment } from './expansion.ts'
import { clip } from './grammar.ts'
import { type Input, outputOf, redirectsOf } from './redirect.ts'
import { runProgram } from './run.ts'
import { dropHead, headOf, literal, textOf, type Word } from './word.ts'

/** How a program is run. */
export interface Run {
  /** The program first. */
  words: readonly Word[]
  via: readonly string[]
  input: Input
  depth: number
  writes?: readonly Word[]
  reads?: readonly Word[]
  assigns?: readonly string[]
}

interface Context {
  constants: Constants
  via: readonly string[]
  input: Input
  depth: number
}

/** Texts within texts: `bash -c "bash -c …"`. */
const MAX_DEPTH = 8
/** All texts within the line, and the line, in characters. */
const MAX_READ = 1024 * 1024
const MAX_COMMANDS = 4096

/** What a part of the text that is not known is replaced by when the rest is read. */
const HOLE = '$_'

const NUMERIC_TESTS = new Set(['-eq', '-ne', '-lt', '-le', '-gt', '-ge'])

export class Reader {
  readonly commands: Command[] = []
  readonly unreadable = new Set<string>()
  #budget = MAX_READ

  refuse(reason: string): void {
    if (this.unreadable.size < 32) this.unreadable.add(reason)
  }

  /** Reads a text for a shell: the line itself, or what one of its programs hands to a shell. */
  readText(text: string | Word, via: readonly string[], depth: number, input: Input = 'none'): void {
    const source = typeof text === 'string' ? text : this.#known(text, via)
    this.#budget -= source.length + 16
    if (depth > MAX_DEPTH || this.#budget < 0 || this.commands.length > MAX_COMMANDS) {
      this.refuse('it is nested too deep or too long')
      return
    }
    try {
      const script = parse(source)
      this.#script(script, { constants: new Constants(script), via, input, depth })
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      this.refuse('it is nested too deep')
    }
  }

  /** Notes a program, and looks into the words of those that run others. */
  run(run: Run): void {
    const [first, ...rest] = run.words
    const { via, writes = [], reads = [], assigns = [] } = run
    if (run.depth > MAX_DEPTH + 4 || this.commands.length > MAX_COMMANDS) {
      this.refuse('it is nested too deep')
      return
    }
    const program = first ? this.#program(first) : ''
    if (program === undefined) {
      if (writes.length + reads.length + assigns.length > 0)
        this.commands.push({ name: '', program: '', words: [], via, writes, reads, assigns })
      this.refuse('a program whose name is not known')
      return
    }
    const spelled = program.replace(/^.*[/\\](?=.)/s, '').replace(/\.(?:exe|cmd|bat|com)$/i, '')
    const compose = spelled === 'docker-compose' || spelled === 'podman-compose'
    const name = compose ? spelled.slice(0, 6) : spelled
    const words = compose ? [literal('compose'), ...rest] : rest
    this.commands.push({ name, program, words, via, writes, reads, assigns })
    for (const assigned of assigns) if (RUNNING_VARIABLES.test(assigned)) this.refuse(`${assigned} is set`)
    // `time -o f rm` is a program of its own for dash, and a word of the shell for bash.
    if (/^-./.test(name)) this.refuse('a program whose name begins with a hyphen')
    if (/[^\x20-\x7e]/.test(name)) this.refuse('a program with letters that look like others')
    if (words.some((word) => LOOKALIKE_DASH.test(headOf(word)))) this.refuse('a word with a dash that is not a hyphen')
    if (name !== '') runProgram(this, name, words, run)
  }

  /** The name of a program: known, or an unknown folder with a known name. */
  #program(word: Word): string | undefined {
    const text = textOf(word)
    // zsh puts the path of the program for `=rm`.
    if (text !== undefined) return /^=./.test(text) ? text.slice(1) : text
    const last = word.pieces.at(-1)
    if (word.many || typeof last !== 'string' || !last.includes('/') || last.endsWith('/')) return undefined
    return last.slice(last.indexOf('/'))
  }

  #known(word: Word, via: readonly string[]): string {
    if (textOf(word) === undefined) this.refuse(`${via.at(-1) ?? 'a shell'} runs a text that is not wholly known`)
    return word.pieces.map((piece) => (typeof piece === 'string' ? piece : HOLE)).join('')
  }

  #script(script: ParsedScript, cx: Context): void {
    if (script.errors && script.errors.length > 0) this.refuse('it is no valid text for a shell')
    for (const statement of script.commands) {
      this.#walk(statement, cx)
      // Only at the top, where nothing can skip the statement.
      cx.constants.settle(statement, (word) => single(expand(word, cx.constants)))
    }
  }

  #walk(node: SyntaxNode, cx: Context): void {
    switch (node.type) {
      case 'Script':
        this.#inner(node, cx)
        return
      case 'Pipeline':
        this.#pipeline(node, cx)
        return
      case 'Command':
        this.#command(node, cx)
        return
      case 'Redirected': {
        const { input, writes, reads } = redirectsOf(node.redirects, cx.constants, cx.input)
        if (writes.length + reads.length > 0)
          this.commands.push({ name: '', program: '', words: [], via: cx.via, writes, reads, assigns: [] })
        this.#walk(node.command, { ...cx, input })
        for (const redirect of node.redirects) this.#children(redirect, cx)
        return
      }
      case 'Function':
        this.#children(node, { ...cx, input: 'unknown' })
        return
      case 'For':
      case 'Select':
        this.commands.push(nameless(cx, [node.name.value]))
        this.#children(node, cx)
        return
      case 'TestCommand':
      case 'ArithmeticCommand':
        this.#otherReading(node, cx)
        this.#children(node, cx)
        return
      case 'TestBinary':
        if (NUMERIC_TESTS.has(node.operator))
          for (const side of [node.left, node.right]) this.#arithmetic(side.text, cx)
        this.#children(node, cx)
        return
      case 'TestUnary':
        if (node.operator === '-v' || node.operator === '-R') this.#subscript(expand(node.operand, cx.constants))
        this.#children(node, cx)
        return
      case 'ArithmeticWord':
        this.#arithmetic(node.value, cx)
        this.#children(node, cx)
        return
      case 'ArithmeticExpansion':
        // dash takes `$[` for text, and what comes after it for commands.
        if (node.text.startsWith('$[')) this.refuse('$[…], which shells read differently')
        this.#children(node, cx)
        return
      case 'AnsiCQuoted':
        if (node.text.includes("\\'")) this.refuse("$'…', which shells read differently")
        return
      case 'ExtendedGlob':
        this.refuse('a pattern that shells read differently')
        this.#children(node, cx)
        return
      case 'ParameterExpansion':
        if (node.operation?.type === 'Unknown') this.refuse('an expansion that shells read differently')
        if (node.operation?.type === 'Transform' && /P/.test(node.operation.operand.text))
          this.refuse('an expansion that runs what the variable holds')
        if (node.operation?.type === 'Default' && node.operation.operator.endsWith('='))
          this.commands.push(nameless(cx, [node.parameter]))
        if (node.operation?.type === 'Slice') {
          this.#arithmetic(node.operation.offset.text, cx)
          if (node.operation.length) this.#arithmetic(node.operation.length.text, cx)
        }
        if (node.index) this.#arithmetic(node.index.text, cx)
        this.#children(node, cx)
        return
      case 'Assignment':
        if (node.index) {
          if (/[\s;&|<>()]/.test(node.index.text.replace(/\$\([^()]*\)/g, '')))
            this.refuse('an index that shells read differently')
          this.#arithmetic(node.index.text, cx)
        }
        this.#children(node, cx)
        return
      default:
        this.#children(node, cx)
        return
    }
  }

  #children(node: SyntaxNode, cx: Context): void {
    forEachChild(node, (child) => this.#walk(child, cx))
  }

  /** A substitution: its assignments end with it, so that only what is outside is constant. */
  #inner(script: ParsedScript, cx: Context): void {
    if (script.errors && script.errors.length > 0) this.refuse('it is no valid text for a shell')
    this.#children(script, { ...cx, input: 'unknown' })
  }

  #pipeline(node: Pipeline, cx: Context): void {
    let input = cx.input
    for (const command of node.commands) {
      this.#walk(command, { ...cx, input })
      input = outputOf(command, cx.constants)
    }
  }

  #command(node: CommandNode, cx: Context): void {
    const { constants, via, depth } = cx
    const assigns = node.prefix.flatMap((part) => (part.type === 'Assignment' ? [part.name] : []))
    const { input, writes, reads } = redirectsOf(node.redirects, constants, cx.input)
    const words: Word[] = node.name ? expand(node.name, constants) : []
    for (const part of node.suffix)
      if (part.type === 'Word') words.push(...expand(part, constants))
      else if (part.type === 'Assignment') words.push(expandAssignment(part, constants))
    const name = words[0] && textOf(words[0])
    if (node.name?.parts && name !== undefined && SETTERS.has(name) && name !== node.name.value) {
      constants.forget()
      this.refuse('a built-in of the shell under the name of a variable')
    }
    for (const part of node.prefix)
      if (part.type === 'Assignment') this.#runningVariable(part.name, expandAssignment(part, constants), cx)
    if (name !== undefined && DECLARING.has(name)) {
      for (const part of node.suffix)
        if (part.type === 'Assignment') {
          assigns.push(part.name)
          this.#runningVariable(part.name, expandAssignment(part, constants), cx)
        }
    }
    if (name !== undefined && SUBSCRIPTS.has(name)) this.#subscriptWords(name, words.slice(1))
    this.run({ words, via, input, depth: depth, writes, reads, assigns })
    forEachChild(node, (child) => this.#walk(child, { ...cx, input: 'unknown' }))
  }

  /** `((…))` and `[[…]]` are commands for dash, which knows neither. */
  #otherReading(node: TestCommand | ArithmeticCommand, cx: Context): void {
    if (node.type === 'ArithmeticCommand') {
      if (/[A-Za-z]{2}/.test(node.body)) this.#asDash(node.body, cx)
      return
    }
    const { expression } = node
    if (expression.type !== 'TestLogical' && expression.type !== 'TestGroup') return
    const open: SyntaxNode[] = [expression]
    for (let inner = open.pop(); inner; inner = open.pop()) {
      const word = inner.type === 'TestBinary' ? inner.left : inner.type === 'TestUnary' ? inner.operand : undefined
      // What is tested by an operator in front of it is a word of that «command».
      if (!word) forEachChild(inner, (child) => open.push(child))
      else if (word.pos === inner.pos) {
        const words = expand(word, cx.constants)
        if (words[0] && textOf(words[0]) !== undefined)
          this.run({ words, via: [...cx.via, 'dash'], input: 'none', depth: cx.depth + 1 })
      }
    }
  }

  #asDash(text: string, cx: Context): void {
    const script = parse(text)
    this.#budget -= text.length
    if (this.#budget > 0 && !script.errors?.length)
      this.#script(script, { ...cx, constants: new Constants(script), via: [...cx.via, 'dash'], depth: cx.depth + 1 })
  }

  /** Arithmetic runs the code in the text that a variable holds: `a[$(…)]`. */
  #arithmetic(text: string, { constants }: Context): void {
    for (const name of namesIn(text))
      if (!constants.isNumber(name)) {
        this.refuse(`arithmetic on ${name}, which may hold code`)
        return
      }
  }

  #subscript(words: readonly Word[]): void {
    for (const word of words) {
      const text = textOf(word)
      if (text === undefined) this.refuse('the name of a variable that is not known')
      else if (/[[][^\]]*[`$]/.test(text)) this.refuse('an index that runs code')
      else if (RUNNING_VARIABLES.test(text.replace(/[[=].*$/s, ''))) this.refuse(`${clip(text)} is set`)
    }
  }

  #subscriptWords(name: string, words: readonly Word[]): void {
    if (name === 'test' || name === '[') {
      for (const [at, word] of words.entries())
        if (/^-[vR]$/.test(textOf(word) ?? '')) this.#subscript(words.slice(at + 1, at + 2))
    } else if (name === 'printf') {
      const [option] = words
      if (option && headOf(option).startsWith('-v'))
        this.#subscript(headOf(option) === '-v' ? words.slice(1, 2) : [dropHead(option, 2)])
    } else if (name === 'let') {
      for (const word of words)
        if (textOf(word) === undefined || /[`$]/.test(textOf(word) ?? '')) this.refuse('arithmetic that runs code')
    } else
      for (const word of words)
        this.#subscript([word.pieces.length > 1 ? literal(headOf(word).replace(/=.*/s, '')) : word])
  }

  /** Variables whose value some program takes for a command. */
  #runningVariable(name: string, assignment: Word, { via, depth }: Context): void {
    if (!COMMAND_VARIABLES.test(name)) return
    const value = dropHead(assignment, headOf(assignment).indexOf('=') + 1)
    this.readText(value, [...via, name], depth + 1)
  }
}

const DECLARING = new Set(['export', 'declare', 'typeset', 'local', 'readonly'])
const SUBSCRIPTS = new Set('test [ printf read unset declare typeset local let mapfile readarray'.split(' '))

/** Variables that make a program or a shell run what they name, whatever it is called with. */
const RUNNING_VARIABLES =
  /^(?:LD_PRELOAD|LD_AUDIT|DYLD_INSERT_LIBRARIES|BASH_ENV|ENV|PROMPT_COMMAND|PS[0-4]|PERL5OPT|PERL5DB|RUBYOPT|PYTHONSTARTUP|BASH_FUNC_.*|GIT_CONFIG.*|LESSOPEN|LESSCLOSE|BASH_CMDS|BASH_ALIASES|[gs]?aliases|functions|commands)$/
const COMMAND_VARIABLES =
  /^(?:\w*PAGER|\w*EDITOR|VISUAL|BROWSER|GIT_SSH_COMMAND|GIT_SSH|GIT_EXTERNAL_DIFF|GIT_ASKPASS|SSH_ASKPASS|SHELL|RSYNC_RSH)$/

const LOOKALIKE_DASH = /^[\u2010-\u2015\u2212\u2e3a\u2e3b\ufe58\ufe63\uff0d]+[A-Za-z]/

const single = (words: readonly Word[]): string | undefined => {
  const [word] = words
  return words.length > 1 ? undefined : word ? textOf(word) : ''
}

const nameless = ({ via }: Context, assigns: readonly string[]): Command => ({
  name: '',
  program: '',
  words: [],
  via,
  writes: [],
  reads: [],
  assigns,
})
