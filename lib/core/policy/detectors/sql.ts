const BEGINNING =
  /^[\s;(]*(?:select|insert|update|delete|drop|truncate|alter|create|replace|merge|with|begin|start|set|use|grant|revoke|explain|call|do|exec(?:ute)?|declare)\b/i
/** Texts and comments, which are no code, as the standard has them and as MySQL has them: each counts. */
const NOT_CODE = [
  /'(?:[^']|'')*'?|--[^\n]*|\/\*(?:[^*]|\*(?!\/))*(?:\*\/)?/g,
  /'(?:[^'\\]|\\.|'')*'?|--[^\n]*|#[^\n]*|\/\*(?!!)(?:[^*]|\*(?!\/))*(?:\*\/)?/gs,
]

/** True for a text that begins as SQL does. */
export const looksLikeSql = (text: string): boolean => codeOf(text).some((code) => BEGINNING.test(code))

const CHECKS: readonly [pattern: RegExp, message: string][] = [
  [
    /\bdrop\s+(?:table|database|schema|view|index|materialized|tablespace|user|role|column|collection)\b/,
    'drops what it names',
  ],
  [/\btruncate\s+(?:table\s+)?[\w"`[$]/, 'truncates a table'],
]
const ALL_ROWS = /\bwhere\s+(?:1\s*=\s*1|true|''\s*=\s*'')\s*$/

/** What statements destroy, in words; empty when nothing. Linear in the text. */
export function sqlDamage(text: string): string[] {
  const found = new Set<string>()
  for (const statement of codeOf(text).flatMap((code) => code.toLowerCase().split(';'))) {
    for (const [pattern, message] of CHECKS) if (pattern.test(statement)) found.add(message)
    const isBounded = /\bwhere\b/.test(statement) && !ALL_ROWS.test(statement.trimEnd())
    if (!isBounded && /\bdelete\s+from\b/.test(statement)) found.add('deletes every row')
    if (!isBounded && /\bupdate\s+[\w".`[\]$]+\s+set\b/.test(statement)) found.add('changes every row')
  }
  return [...found]
}

const codeOf = (text: string): string[] =>
  NOT_CODE.map((pattern) => text.replace(pattern, (part) => (part.startsWith("'") ? "''" : ' ')))
