import type { Command } from '../shell/command-line.ts'
import { hasOption } from '../shell/options.ts'
import { headOf, textOf } from '../shell/word.ts'
import { commandsOf, type Place, type Scan } from './scan.ts'

/** A host that the action names. */
export interface NamedHost {
  host: string
  path: Place | null
  /** A command plainly sends something there. */
  sends: boolean
}

const URLS = /(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{1,15}:\/\/[^\s"'`<>|;)\]}]{1,2000}/gi
const MAX_HOSTS = 200

/** The hosts of every URL, and those that commands talk to. */
export function hostsOf(scanned: Scan): NamedHost[] {
  const { action, leaves } = scanned
  const found: NamedHost[] = []
  if (action.kind === 'http' && action.http.upstream === null)
    found.push({ host: action.http.target.host, path: null, sends: false })
  for (const { path, command } of commandsOf(scanned)) found.push(...hostsOfCommand(command, path))
  for (const { path, text } of leaves) {
    for (const [url] of text.matchAll(URLS)) {
      const host = hostOf(url)
      if (host !== undefined) found.push({ host, path, sends: false })
      if (found.length >= MAX_HOSTS) return found
    }
  }
  return found
}

function hostOf(url: string): string | undefined {
  // A scheme that the standard does not know keeps its host as it is spelled.
  const known = url.replace(/^(?!https?:|wss?:|ftp:)[a-z][a-z0-9+.-]*:/i, 'http:')
  if (!URL.canParse(known)) return undefined
  const { hostname } = new URL(known)
  return hostname === '' ? undefined : hostname.toLowerCase().replace(/\.$/, '')
}

const FETCHERS = /^(?:curl|wget|https?|xh|aria2c|httpie|lynx)$/
const COPIERS = /^(?:scp|rsync|sftp)$/
const PIPES = /^(?:nc|ncat|netcat|telnet|socat|ssh|ftp)$/
/** Options of those whose value is the next word, and no host. */
const VALUED =
  /^(?:-[a-zA-Z]*[oHdXuAebcFTmwxKErpiPlJ]|--(?:output|header|data(?:-\w+)*|request|user|user-agent|referer|cookie|cookie-jar|form(?:-\w+)*|upload-file|max-time|write-out|proxy|config|cert|key|range|json|output-document|post-(?:data|file)|body-(?:data|file)))$/
const SENDING = /^--(?:json|post-data|post-file|body-data|body-file|upload-file|form|data)/
const BARE_HOST = /^(?:[^\s/@:]{1,100}@)?((?:[\w-]{1,63}\.){1,20}[a-z0-9-]{2,63})(?::\d{1,5})?(?:[/?#].*)?$/is
const REMOTE = /^(?:[^\s/@:]{1,100}@)?([\w-][\w.-]{1,250}|\[[0-9a-f:.]{2,50}\]):/i

function hostsOfCommand(command: Command, path: Place): NamedHost[] {
  const name = command.name.toLowerCase()
  if (COPIERS.test(name)) return plainWords(command).flatMap((word) => named(REMOTE.exec(word)?.[1], path, true))
  if (PIPES.test(name)) return plainWords(command).flatMap((word) => named(BARE_HOST.exec(word)?.[1], path, true))
  if (!FETCHERS.test(name)) return []
  const sends =
    (name === 'curl' && hasOption(command, 'upload') !== 'no') ||
    command.words.some((word) => SENDING.test(headOf(word)))
  return plainWords(command).flatMap((word) =>
    named(word.includes('://') ? hostOf(word) : BARE_HOST.exec(word)?.[1], path, sends),
  )
}

const named = (host: string | undefined, path: Place, sends: boolean): NamedHost[] =>
  host === undefined ? [] : [{ host: host.toLowerCase(), path, sends }]

/** Words that are known, no option, and no option's value. */
const plainWords = ({ words }: Command): string[] =>
  words.flatMap((word, at) => {
    // Of a URL with a part that only the shell knows, the host may be known all the same.
    const text = textOf(word) ?? /^[a-z][a-z0-9+.-]*:\/\/[^/?#]+[/?#]/i.exec(headOf(word))?.[0]
    const before = words[at - 1]
    const isValue = before !== undefined && VALUED.test(textOf(before) ?? '')
    return text === undefined || text.startsWith('-') || isValue ? [] : [text]
  })
