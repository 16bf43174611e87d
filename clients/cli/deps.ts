import type { Local } from './local.ts'
import type { Terminal } from './terminal.ts'

/** Everything a command touches outside itself. */
export interface Deps {
  local: Local
  terminal: Terminal
  env: Readonly<Record<string, string | undefined>>
  version: string
  /** The words that start this command: the program, its options and the script. */
  self: readonly string[]
  /** Everything on stdin. */
  input(): Promise<Uint8Array<ArrayBuffer>>
  /** Milliseconds since the epoch. */
  now(): number
  /** Aborts at SIGINT or SIGTERM. From the first call on they no longer end the process by themselves. */
  interrupted(): AbortSignal
  /** Calls back at SIGHUP, which no longer ends the process by itself, unless its terminal is gone. */
  onHangup(callback: () => void): void
}
