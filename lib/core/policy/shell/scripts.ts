import type { Running } from './run.ts'
import { headOf, textOf } from './word.ts'

/** Whether make is told to run a text that is one of its words, or that comes from its input. */
export function makeRuns(texts: readonly (string | undefined)[], { words }: Running): boolean {
  return words.some((word, at) => {
    const text = texts[at]
    if (text === undefined) return /^(?:$|-$|--|-f|SHELL=)/.test(headOf(word))
    if (/^(?:--ev|SHELL=|-f(?:-|\/dev)|--(?:make)?file=(?:-|\/dev))/.test(text)) return true
    return /^(?:-f|--file|--makefile)$/.test(text) && /^(?:-|\/dev)/.test(texts[at + 1] ?? '-')
  })
}

/** Whether an awk program may run others or write files. */
export function awkRuns(_: readonly (string | undefined)[], { words }: Running): boolean {
  return words.some(
    (word) =>
      textOf(word) === undefined ||
      /system|getline|\||print[^}]*>|@(?:load|include)|^-(?:l|e|-load|-source|-include|i)/.test(headOf(word)),
  )
}

/** True unless every word that may be the script is of the plain kind: addresses, p, d, q, s without e and w, …. */
export function sedRuns(texts: readonly (string | undefined)[], { words }: Running): boolean {
  const expressions: (string | undefined)[] = []
  let first = true
  for (let at = 0; at < texts.length; at++) {
    const text = texts[at]
    const word = words[at]
    if (word && text === undefined && headOf(word).startsWith('-')) return true
    if (text !== undefined && /^(?:-[A-Za-z]*e|--expression)$/.test(text)) {
      expressions.push(texts[++at])
      first = false
    } else if (text !== undefined && /^--expression=/.test(text)) {
      expressions.push(text.slice(13))
      first = false
    } else if (text !== undefined && /^-[nErsuzi]*e./.test(text)) {
      expressions.push(text.replace(/^-[nErsuzi]*e/, ''))
      first = false
    } else if (text !== undefined && /^(?:-f|--file)/.test(text)) first = false
    else if (text?.startsWith('-') && text !== '-') continue
    else if (first) {
      expressions.push(text)
      first = false
    }
  }
  // A part of a replacement that is not known may end it, and go on with another command.
  return expressions.some((text) => text === undefined || !plainSed(text))
}

function plainSed(script: string): boolean {
  let at = 0
  const skipTo = (end: string): boolean => {
    while (at < script.length && script[at] !== end) at += script[at] === '\\' ? 2 : 1
    at++
    return at <= script.length
  }
  while (at < script.length) {
    const char = script[at] ?? ''
    at++
    if (/[\s;{}!,$~+0-9pdqQ=nNDPgGhHxlFz]/.test(char)) continue
    if (char === '/') {
      if (!skipTo('/')) return false
      while (/[IM]/.test(script[at] ?? '')) at++
    } else if (char === '\\') {
      const end = script[at++] ?? ''
      if (!skipTo(end)) return false
    } else if (char === 's' || char === 'y') {
      const end = script[at++] ?? ''
      if (end === '' || end === '\n' || end === '\\' || !skipTo(end) || !skipTo(end)) return false
      while (/[gpiIm0-9]/.test(script[at] ?? '')) at++
      if (/[a-zA-Z]/.test(script[at] ?? '')) return false
    } else if (/[aic]/.test(char)) {
      while (at < script.length && script[at] !== '\n') at += script[at] === '\\' ? 2 : 1
    } else if (/[btT:#]/.test(char)) {
      while (at < script.length && script[at] !== '\n' && script[at] !== ';') at++
    } else return false
  }
  return true
}
