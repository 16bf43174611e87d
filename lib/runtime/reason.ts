import { redactText } from '../core/preview.ts'

/** A person's reason as it goes on record: without what looks like a secret; null when nothing is said. */
export const reasonOf = (text: string | null | undefined): string | null => {
  const said = text?.trim()
  return said ? redactText(said) : null
}
