const LONGEST = 2_048

/** What is wrong with the URL of a webhook, without its words (it may hold a secret); undefined: nothing. */
export function webhookUrlFault(text: string): string | undefined {
  if (text.length > LONGEST) return `must have at most ${LONGEST} characters`
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) return 'must be an https:// URL'
  const { username, password, hash } = new URL(text)
  if (username !== '' || password !== '') return 'must hold no credentials before its host'
  if (hash !== '') return 'must have no fragment'
  return undefined
}

/** A URL as it is shown: what follows its path may be a secret. */
export function shownUrl(text: string): string {
  const { origin, pathname, search } = new URL(text)
  return `${origin}${pathname}${search === '' ? '' : '?…'}`
}

/** A URL of an agent's, whose path may be a secret too. */
export const shownHost = (text: string): string => (URL.canParse(text) ? `${new URL(text).origin}/…` : '…')
