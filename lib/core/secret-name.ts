/** Parts that make a name's value a secret wherever they stand; names are squashed to lower-case letters and digits. */
const PART =
  /token|secret|passw|passphrase|passcode|passkey|pwd|credential|authorization|cookie|sessionid|sessid|connectionstring|mnemonic|seedphrase|jwt|(?:api|private|access|signing|signature|encryption|master|shared|account|client|service|session|ssh|auth|host|license|storage|subscription)key/

/** Whole words that do (`db.pass`, `X-Auth`), though not as a piece of another one (`author`, `compass`). */
const WORDS = new Set(['pass', 'auth', 'bearer', 'otp', 'totp', 'cvv', 'cvc', 'creds', 'psk', 'sig', 'signature'])
const WHOLE = new Set(['sid', 'connectsid', 'pin'])

/** Names for counting tokens and cutting text into them. */
const COUNT =
  'max|min|total|prompt|completion|input|output|cached|reasoning|thinking|new|num|count|limit|budget|usage|used|size|length|type|remaining|left|per'
const HARMLESS = new RegExp(
  `^(?:tokeni[sz](?:er|ers|e|ed|ing|ation)(?:name|type|path|id|config)?|(?:${COUNT})+tokens?(?:${COUNT})*|tokens?(?:${COUNT})+)$`,
)

/** No real name is longer; what is longer is looked at by its end, where the noun stands. */
const MAX_NAME = 200

/** True when the value under this key, header, flag, variable or parameter is to be masked, however it is spelled. */
export function isSecretName(name: string): boolean {
  const tail = name.length > MAX_NAME ? name.slice(-MAX_NAME) : name
  const plain = tail.normalize('NFKC')
  const squashed = plain.toLowerCase().replace(/[^a-z0-9]/g, '')
  if (WHOLE.has(squashed)) return true
  if (PART.test(squashed)) return !HARMLESS.test(squashed)
  return words(plain).some((word) => WORDS.has(word))
}

/** Parameters of URLs that are secret there, though their names say little elsewhere. */
const URL_NAMES = new Set(['key', 'code', 'hmac', 'assertion', 'ticket'])
export const isSecretParameter = (name: string): boolean => URL_NAMES.has(name.toLowerCase()) || isSecretName(name)

const words = (name: string): string[] =>
  name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
