const BEGINNING =
  /^[\s;(]*(?:select|insert|update|delete|drop|truncate|alter|create|replace|merge|with|begin|start|set|use|grant|revoke|explain|call|do|exec(?:ute)?|declare)\b/i
const NOT_CODE = /'(?:[^'\\]|\\.|'')*'?|--[^\n]*|\/\*(?:[^*]|\*(?!\/))*(?:\*\/)?|#[^\n]*/gs

/** True for a text that begins as SQL does. */
export const looksLikeSql = (text: string): boolean => BEGINNING.test(withoutComments(text))

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
  for (const statement of withoutComments(text).toLowerCase().split(';')) {
    for (const [pattern, message] of CHECKS) if (pattern.test(statement)) found.add(message)
    const isBounded = /\bwhere\b/.test(statement) && !ALL_ROWS.test(statement.trimEnd())
    if (!isBounded && /\bdelete\s+from\b/.test(statement)) found.add('deletes every row')
    if (!isBounded && /\bupdate\s+[\w".`[\]$]+\s+set\b/.test(statement)) found.add('changes every row')
  }
  return [...found]
}

/** Texts and comments taken out: what stands in them is no code. */
const withoutComments = (text: string): string => text.replace(NOT_CODE, (code) => (code.startsWith("'") ? "''" : ' '))
