import { type ServerResponse, STATUS_CODES } from 'node:http'
import type { HeaderList } from './headers.ts'

const PHRASE = /^[\t\x20-\x7e]*$/
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

/**
 * Begins an upstream's answer. What Node reads and refuses to write is left out: such headers, `Trailer` where no chunks
 * carry any, and a reason phrase, for which the name of the status stands. Throws for a status that ends no call, and
 * leaves the response as it was.
 */
export function writeAnswerHead(
  response: ServerResponse,
  { status, phrase = '', list }: { status: number; phrase: string | undefined; list: HeaderList },
): void {
  if (status < 200 || status > 999) throw new Error('this status ends no call')
  const isChunked = status !== 204 && status !== 304 && !holds(list, 'content-length')
  response.sendDate = false
  try {
    response.writeHead(
      status,
      PHRASE.test(phrase) ? phrase : (STATUS_CODES[status] ?? ''),
      writable(list, (name) => isChunked || name !== 'trailer'),
    )
  } catch (error) {
    // Node keeps it, and would refuse every other answer too.
    response.statusMessage = ''
    response.sendDate = true
    throw error
  }
}

/** Those that Node writes. */
export function writable(list: HeaderList, isWanted: (name: string) => boolean = () => true): HeaderList {
  const kept: HeaderList = []
  for (let at = 0; at < list.length; at += 2) {
    const name = list[at] ?? ''
    const value = list[at + 1] ?? ''
    if (NAME.test(name) && VALUE.test(value) && isWanted(name.toLowerCase())) kept.push(name, value)
  }
  return kept
}

function holds(list: HeaderList, name: string): boolean {
  for (let at = 0; at < list.length; at += 2) if (list[at]?.toLowerCase() === name) return true
  return false
}
