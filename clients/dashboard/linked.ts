import { signal } from '@preact/signals'

/** As mails and messages link to an approval. */
const LINK = /^#\/approvals\/(apr_[0-9a-z]{26})$/

/** The approval that the page was opened for; signing in keeps it. It is marked and shown, and nothing more. */
export const linked = signal<string | undefined>(undefined)

/** Takes the link that the hash is, if it is one. */
export function takeLink(hash: string): void {
  const id = LINK.exec(hash)?.[1]
  if (id !== undefined) linked.value = id
}

/** For the element that shows an approval. */
export const linkedAttributes = (id: string) => (linked.value === id ? ({ 'aria-current': 'true' } as const) : {})
