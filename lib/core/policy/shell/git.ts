import { scanOptions } from './grammar.ts'
import { type Look, takesCommand } from './look.ts'
import { SUBCOMMANDS } from './programs.ts'
import { joined } from './run.ts'
import { headOf } from './word.ts'

const SAFE_CONFIG =
  /^(?:user\.|color\.|advice\.|core\.(?:quotepath|autocrlf|eol|safecrlf|filemode|longpaths|abbrev|ignorecase)=|commit\.gpgsign=|tag\.gpgsign=|init\.defaultbranch=|http\.(?:sslverify|postbuffer|version|extraheader|proxy)=|pull\.(?:rebase|ff)=|push\.default=|merge\.conflictstyle=|rebase\.(?:autostash|autosquash)=|diff\.(?:renames|algorithm|renamelimit)=|log\.|format\.|protocol\.version=|safe\.directory=|fetch\.|gc\.auto=|i18n\.)/i
const RUNNING_CONFIG =
  /alias\.|command|cmd|pager|editor|helper|hookspath|fsmonitor|sshcommand|askpass|program|textconv|driver|external|process|smudge|clean|include|receivepack|uploadpack|^!/i

/** Settings, addresses and options that make git run a program. */
export const git: Look = ({ reader, words, run }) => {
  const options = SUBCOMMANDS.get('git')
  const scan = options ? scanOptions(words, options) : 'its options are not known'
  // What cannot be told apart is refused where the subcommand is looked for.
  if (typeof scan === 'string') return false
  for (const { name, value } of scan.options)
    if ((name === '-c' && !SAFE_CONFIG.test(value ? headOf(value) : '')) || /^--(?:exec-path|config-env)/.test(name))
      reader.refuse('git runs with a setting that may run a program')
  const inner = words.slice(scan.rest)
  const [first = '', ...texts] = inner.map(headOf)
  if (texts.some((text) => /^ext::/.test(text))) reader.refuse('git runs the command of an ext:: address')
  if (first === 'config' && texts.some((text) => !text.startsWith('-') && RUNNING_CONFIG.test(text)))
    reader.refuse('git is told to run a program later')
  if (first === 'filter-branch') reader.refuse('git filter-branch runs commands')
  if (first === 'rebase') takesCommand(/^(?:-x|--exec=?)/)({ reader, name: 'git rebase', words: inner, run })
  else if (texts.some((text) => RUNNING_OPTION.test(text))) reader.refuse('git runs a program that is one of its words')
  if (/^(?:difftool|grep)$/.test(first) && texts.some((text) => /^(?:-x|--extcmd|-O|--open-files-in-pager)/.test(text)))
    reader.refuse('git runs a program that is one of its words')
  if (first === 'submodule') {
    const at = texts.indexOf('foreach')
    const rest = at < 0 ? [] : inner.slice(at + 2).filter((word) => !/^--?(?:recursive|q|quiet)$/.test(headOf(word)))
    if (rest.length > 0) reader.readText(joined(rest), [...run.via, 'git submodule foreach'], run.depth + 1)
  }
  return false
}

/** `--upload-pack`, `--receive-pack`, `--exec`, and what git takes for them. */
const RUNNING_OPTION = /^--(?:upl[a-z-]*|rece[a-z-]*|exe[a-z]*)(?:=|$)/
