import { createInterface, emitKeypressEvents } from 'node:readline'
import type { ReadStream, WriteStream } from 'node:tty'
import pc from 'picocolors'

export type Colors = ReturnType<typeof pc.createColors>

/** Where results go (stdout), where words to the person go (stderr), and what the person answers. */
export interface Terminal {
  /** A line of the result. */
  out(line: string): void
  /** A line that is no part of the result. */
  err(line: string): void
  /** For stdout. */
  colors: Colors
  /** Columns of stdout; undefined where it is no terminal. */
  width(): number | undefined
  /** True when a person can be asked. */
  interactive: boolean
  /** The answer without spaces around it; undefined when there is none (end of input, Ctrl-C, aborted). */
  ask(question: string, signal?: AbortSignal): Promise<string | undefined>
  /** Calls back with each key until the returned function is called; Ctrl-C comes as `q`. */
  onKey(callback: (key: string) => void): () => void
}

type Input = NodeJS.ReadStream | ReadStream
type Output = NodeJS.WriteStream | WriteStream

export function createTerminal(streams: { stdin: Input; stdout: Output; stderr: Output }, colored: boolean): Terminal {
  const { stdin, stdout, stderr } = streams
  return {
    out: (line) => stdout.write(`${line}\n`),
    err: (line) => stderr.write(`${line}\n`),
    colors: pc.createColors(colored),
    width: () => (stdout.isTTY ? stdout.columns : undefined),
    interactive: stdin.isTTY === true && stderr.isTTY === true,
    ask: (question, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve(undefined)
        const reader = createInterface({ input: stdin, output: stderr })
        const end = (answer?: string) => {
          signal?.removeEventListener('abort', leave)
          resolve(answer?.trim())
          reader.close()
        }
        const leave = () => {
          stderr.write('\n')
          end()
        }
        signal?.addEventListener('abort', leave)
        reader.on('SIGINT', leave)
        reader.on('close', () => end())
        reader.question(question, end)
      }),
    onKey: (callback) => {
      const onKeypress = (text: string | undefined, key: { name?: string; ctrl?: boolean }) =>
        callback(key.ctrl && key.name === 'c' ? 'q' : (text ?? '').toLowerCase())
      emitKeypressEvents(stdin)
      stdin.setRawMode?.(true)
      stdin.on('keypress', onKeypress)
      stdin.resume()
      return () => {
        stdin.off('keypress', onKeypress)
        stdin.setRawMode?.(false)
        stdin.pause()
      }
    },
  }
}

/** True for yes alone: every other answer, and none, is no. */
export async function confirm(terminal: Terminal, question: string, signal?: AbortSignal): Promise<boolean> {
  const answer = await terminal.ask(`${question} [y/N] `, signal)
  return /^y(es)?$/i.test(answer ?? '')
}
