import { createCipheriv, createDecipheriv, randomBytes, randomUUID } from 'node:crypto'
import { type FileHandle, open, unlink } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { hasLeft, whenLeft } from '../../../lib/runtime/disconnect.ts'
import type { Logger } from '../../../lib/runtime/logger.ts'
import type { Metrics } from '../../../lib/runtime/metrics.ts'
import type { Peeked } from './peek.ts'

const CIPHER = 'aes-256-ctr'
const READ_BYTES = 64 * 1024
/** After each of these there may be something to read, or nothing any more. */
const EVENTS = ['readable', 'end', 'error', 'close']

/** A file without a name: nobody else can open it, and it is gone with the process, however that ends. */
export async function openNameless(dir: string): Promise<FileHandle> {
  const path = join(dir, `countersign-${randomUUID()}`)
  const file = await open(path, 'wx+', 0o600)
  try {
    await unlink(path)
  } catch (error) {
    await file.close()
    throw error
  }
  return file
}

/** Where the bodies of held calls wait, up to a total. */
export class Spools {
  readonly #open: () => Promise<FileHandle>
  readonly #maxBytes: number
  readonly #log: Logger
  readonly #metrics: Metrics
  #bytes = 0

  constructor(deps: { open: () => Promise<FileHandle>; maxBytes: number; log: Logger; metrics: Metrics }) {
    this.#open = deps.open
    this.#maxBytes = deps.maxBytes
    this.#log = deps.log
    this.#metrics = deps.metrics
  }

  /**
   * Begins to read a body on behind what was peeked: the end of a connection is noticed only while it is read. Undefined
   * where there is no room. It is freed when the response is over, if not before.
   */
  begin(request: IncomingMessage, response: ServerResponse, { bytes: { length: peeked } }: Peeked): Spool | undefined {
    if (this.#maxBytes === 0 || hasLeft(request, response)) return undefined
    const length = Number(request.headers['content-length'] ?? 0)
    // What is known not to fit would only take the room of others.
    if (this.#bytes + length - peeked > this.#maxBytes) {
      this.#warn(fullError())
      return undefined
    }
    const spool = new Spool(request, {
      open: this.#open,
      take: (bytes) => this.#add(bytes),
      giveBack: (bytes) => this.#add(-bytes),
      warn: (error) => this.#warn(error),
    })
    response.once('close', () => void spool.free())
    // Of those in line behind another Node tells nothing.
    whenLeft(request, response, () => void spool.free())
    return spool
  }

  #add(bytes: number): void {
    if (this.#bytes + bytes > this.#maxBytes) throw fullError()
    this.#bytes += bytes
    this.#metrics.spoolBytes.set(this.#bytes)
  }

  #warn(err: unknown): void {
    this.#log.warn({ err }, 'the body of a held call is not read on: an agent that leaves is not noticed')
  }
}

const fullError = () => new Error('gate.maxSpool is used up')

interface Room {
  open: () => Promise<FileHandle>
  /** Throws when there is not so much left. */
  take: (bytes: number) => void
  giveBack: (bytes: number) => void
  warn: (error: unknown) => void
}

/** What was read on of the body of one held call: on disk, encrypted with a key that only this object has. */
export class Spool {
  readonly #request: IncomingMessage
  readonly #room: Room
  readonly #key = randomBytes(32)
  readonly #iv = randomBytes(16)
  readonly #cipher = createCipheriv(CIPHER, this.#key, this.#iv)
  readonly #readingOn: Promise<void>
  #file: FileHandle | undefined
  #taken = 0
  #written = 0
  /** What was read and could not be written. */
  #unwritten: Buffer | undefined
  #isStopped = false
  #wake = () => {}
  #freed: Promise<void> | undefined

  constructor(request: IncomingMessage, room: Room) {
    this.#request = request
    this.#room = room
    for (const event of EVENTS) request.on(event, this.#onEvent)
    this.#readingOn = this.#readOn()
  }

  /** From now on the connection is left unread. */
  stop(): void {
    if (this.#isStopped) return
    this.#isStopped = true
    for (const event of EVENTS) this.#request.off(event, this.#onEvent)
    this.#wake()
  }

  /** What was read on, once, and stops; what is still to come follows on the connection. */
  async *read(): AsyncGenerator<Buffer> {
    this.stop()
    await this.#readingOn
    try {
      const decipher = createDecipheriv(CIPHER, this.#key, this.#iv)
      const buffer = Buffer.allocUnsafe(READ_BYTES)
      for (let at = 0; at < this.#written; ) {
        const length = Math.min(READ_BYTES, this.#written - at)
        const read = await this.#file?.read(buffer, 0, length, at)
        if (!read?.bytesRead) throw new Error('a spool is shorter than what was written')
        at += read.bytesRead
        yield decipher.update(buffer.subarray(0, read.bytesRead))
      }
      if (this.#unwritten) yield this.#unwritten
    } finally {
      await this.free()
    }
  }

  /** Gives back its room on the disk. Never rejects. */
  free(): Promise<void> {
    this.#freed ??= this.#free()
    return this.#freed
  }

  async #free(): Promise<void> {
    this.stop()
    await this.#readingOn
    // Nothing of it is wanted any more, so that nothing is lost where the disk fails now.
    await this.#file?.close().catch(() => undefined)
    this.#room.giveBack(this.#taken)
  }

  /** At the pace of the disk: nothing more is read while something is written. */
  async #readOn(): Promise<void> {
    const request = this.#request
    while (!this.#isStopped && !request.readableEnded && !request.destroyed) {
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      const chunk: Buffer | null = request.read()
      await (chunk === null ? woken : this.#keep(chunk))
    }
  }

  async #keep(chunk: Buffer): Promise<void> {
    try {
      this.#room.take(chunk.length)
      this.#taken += chunk.length
      this.#file ??= await this.#room.open()
      await this.#file.appendFile(this.#cipher.update(chunk))
      this.#written += chunk.length
    } catch (error) {
      this.#unwritten = chunk
      this.stop()
      this.#room.warn(error)
    }
  }

  readonly #onEvent = (): void => this.#wake()
}
