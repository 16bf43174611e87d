import { isSecretName } from '../../secret-name.ts'
import { secretSpans } from '../../secret-spans.ts'
import type { Scan } from './scan.ts'
import type { Sighting } from './sighting.ts'

/** What stands for a secret without being one, behind a scheme (`Bearer`) or alone: `$TOKEN`, `${TOKEN}`, `{{ token }}`, `<token>`, `op://…`. */
const REFERENCE =
  /^["']?(?:[a-z][\w-]{0,30}[ \t]+)?(?:\$\{?\w+\}?|\{\{.*\}\}|<[^<>]*>|%\w+%|(?:op|vault|secret|env|ssm|arn):.*|\[redacted\]|\*+|x{3,})["']?$/is

/** Values that look like secrets, by their shape or by the name that they stand under. */
export function secrets({ leaves, named }: Scan): Sighting[] {
  const found: Sighting[] = []
  for (const { path, key, value } of named)
    if (isSecretName(key) && value !== '' && !REFERENCE.test(value))
      found.push({ message: 'A value under the name of a secret.', path })
  for (const { path, key, text } of leaves) {
    if (isSecretName(key)) continue
    const isSecret = secretSpans(text, false).some(([start, end]) => !REFERENCE.test(text.slice(start, end)))
    if (isSecret) found.push({ message: 'A text that holds what looks like a secret.', path })
  }
  return found
}
