import pc from 'picocolors'
import type { Deps } from '../../../clients/cli/deps.ts'
import type { Local, Owner } from '../../../clients/cli/local.ts'
import { run } from '../../../clients/cli/program.ts'
import type { Terminal } from '../../../clients/cli/terminal.ts'

export interface Scene {
  owner?: Owner
  env?: Record<string, string>
  local?: Partial<Local>
  /** What the person answers, in order; without it nobody can be asked. */
  answers?: string[]
  width?: number
  interrupted?: AbortSignal
}

/** Runs a command line in this process and keeps what it printed. */
export async function countersign(line: string | readonly string[], scene: Scene = {}) {
  const screen = createScreen(scene)
  const exit = await run(typeof line === 'string' ? line.split(' ') : line, depsOf(scene, screen.terminal))
  return { exit, ...screen.printed() }
}

export function createScreen({ answers, width }: Scene) {
  const out: string[] = []
  const err: string[] = []
  const asked: string[] = []
  let onKey: ((key: string) => void) | undefined
  const terminal: Terminal = {
    out: (text) => out.push(text),
    err: (text) => err.push(text),
    colors: pc.createColors(false),
    width: () => width,
    interactive: answers !== undefined,
    ask: async (question) => {
      asked.push(question)
      return answers?.shift()
    },
    onKey: (callback) => {
      onKey = callback
      return () => {
        onKey = undefined
      }
    },
  }
  return {
    terminal,
    printed: () => ({ out: out.join('\n'), err: err.join('\n'), asked }),
    press: (key: string) => onKey?.(key),
  }
}

export function depsOf(scene: Scene, terminal: Terminal): Deps {
  const refuse = (name: string) => () => Promise.reject(new Error(`${name} is not part of this scene`))
  return {
    local: {
      up: refuse('up'),
      service: refuse('service'),
      owner: async () => scene.owner,
      loginLink: refuse('loginLink'),
      createKey: refuse('createKey'),
      listKeys: refuse('listKeys'),
      revokeKey: refuse('revokeKey'),
      openData: refuse('openData'),
      deadLetters: refuse('deadLetters'),
      redrive: refuse('redrive'),
      ...scene.local,
    },
    terminal,
    env: scene.env ?? {},
    version: '1.2.3',
    self: ['node', '/opt/countersign/main.js'],
    input: async () => new Uint8Array(),
    now: () => Date.parse('2029-12-31T23:57:00.000Z'),
    onHangup: () => {},
    interrupted: () => scene.interrupted ?? new AbortController().signal,
  }
}

export const ownerAt = (url: string): Owner => ({ url, token: 'cst_owner', agentKey: 'csk_agent' })
