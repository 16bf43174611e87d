import { isBuiltin } from 'node:module'
import { posix } from 'node:path'
import { type Import, readSource, type SourceFile } from './source-file.ts'

interface Room {
  /** A folder, or single files, which then come before the folder that they lie in. */
  files: RegExp
  rule: string
  /** Folders of the repository; `$1` is what the first group of `files` matched. */
  ours: string[]
  /** Of Node: every module, or only these. */
  node: 'any' | string[]
  /** From npm: every package, or only these. */
  packages: 'any' | string[]
}

const CORE_PACKAGES = ['canonicalize', 'yaml', 're2js', '@marcbachmann/cel-js', 'unbash']
const ANY = { node: 'any', packages: 'any' } as const
const LIB = ['lib/core/', 'lib/ports/', 'lib/runtime/']

const ADAPTERS = [
  ['ai-sdk', 'ai'],
  ['openai-agents', '@openai/agents-core'],
  ['langchain', 'langchain'],
] as const

/** The first room that a file is in speaks for it. */
const ROOMS: Room[] = [
  {
    files: /^lib\/core\//,
    rule: 'lib/core is pure: itself, node:crypto and pure packages',
    ours: ['lib/core/'],
    node: ['node:crypto'],
    packages: CORE_PACKAGES,
  },
  {
    files: /^lib\/ports\//,
    rule: 'lib/ports knows lib/core alone',
    ours: ['lib/core/', 'lib/ports/'],
    node: [],
    packages: [],
  },
  {
    files: /^lib\/adapters\/avro\//,
    rule: 'an adapter knows core, ports and itself; avro knows the schemas too',
    ours: ['lib/core/', 'lib/ports/', 'lib/adapters/avro/', 'schemas/'],
    ...ANY,
  },
  {
    files: /^lib\/adapters\/([^/]+)\//,
    rule: 'an adapter knows core, ports and itself',
    ours: ['lib/core/', 'lib/ports/', 'lib/adapters/$1/'],
    ...ANY,
  },
  {
    files: /^lib\/runtime\//,
    rule: 'lib/runtime knows core, ports and itself',
    ours: LIB,
    ...ANY,
  },
  {
    files: /^services\/up\.ts$/,
    rule: 'services/up.ts joins the services and their adapters',
    ours: [...LIB, 'lib/adapters/', 'services/'],
    ...ANY,
  },
  {
    files: /^services\/index\.ts$/,
    rule: 'services/index.ts shows the services, and names no adapter',
    ours: [...LIB, 'services/'],
    ...ANY,
  },
  {
    files: /^services\/engines\.ts$/,
    rule: 'services/engines.ts joins adapters for the processes of a fleet, and knows no service',
    ours: [...LIB, 'lib/adapters/'],
    ...ANY,
  },
  {
    files: /^services\/channels\.ts$/,
    rule: 'services/channels.ts joins the channels, and knows no service',
    ours: [...LIB, 'lib/adapters/'],
    ...ANY,
  },
  {
    files: /^services\/[^/]+\.ts$/,
    rule: 'what lies beside services/up.ts knows core, ports and runtime',
    ours: LIB,
    ...ANY,
  },
  {
    // opening.ts is what main.ts and up.ts have in common.
    files: /^services\/([^/]+)\/(?:main|opening)\.ts$/,
    rule: 'a service knows lib and itself, never another service',
    ours: [
      ...LIB,
      'lib/adapters/',
      'services/$1/',
      'services/engines.ts',
      'services/channels.ts',
      'services/page-directory.ts',
    ],
    ...ANY,
  },
  {
    files: /^services\/([^/]+)\//,
    rule: 'a service knows core, ports, runtime and itself; only main.ts, opening.ts and up.ts name adapters',
    ours: [...LIB, 'services/$1/'],
    ...ANY,
  },
  {
    files: /^clients\/sdk\//,
    rule: 'clients/sdk depends on nothing',
    ours: ['clients/sdk/'],
    node: [],
    packages: [],
  },
  ...ADAPTERS.map(([file, library]) => ({
    files: new RegExp(`^clients/adapters/${file}\\.ts$`),
    rule: 'an adapter of clients/adapters knows the SDK and its one library',
    ours: ['clients/adapters/call-guard.ts', 'clients/adapters/recent.ts', 'clients/sdk/'],
    node: [],
    packages: [library],
  })),
  {
    files: /^clients\/adapters\//,
    rule: 'clients/adapters knows the SDK; an adapter also its one library',
    ours: ['clients/adapters/call-guard.ts', 'clients/adapters/recent.ts', 'clients/sdk/'],
    node: [],
    packages: [],
  },
  {
    files: /^clients\/dashboard\/vite\.config\.ts$/,
    rule: 'the build of the page knows the page',
    ours: ['clients/dashboard/'],
    ...ANY,
  },
  {
    files: /^clients\/dashboard\//,
    rule: 'clients/dashboard knows itself, clients/sdk and packages',
    ours: ['clients/dashboard/', 'clients/sdk/'],
    node: [],
    packages: 'any',
  },
  {
    files: /^clients\/cli\/main\.ts$/,
    rule: 'clients/cli/main.ts joins everything but the page',
    ours: ['clients/cli/', 'clients/sdk/', 'lib/', 'services/'],
    ...ANY,
  },
  {
    files: /^clients\/cli\//,
    rule: 'clients/cli knows itself, clients/sdk, lib/core and lib/ports; only main.ts knows services, runtime and adapters',
    ours: ['clients/cli/', 'clients/sdk/', 'lib/core/', 'lib/ports/'],
    ...ANY,
  },
  {
    files: /^schemas\//,
    rule: 'schemas knows nothing of ours',
    ours: ['schemas/'],
    ...ANY,
  },
]

/** The package's own names, as others import it. */
const SELF: Record<string, string> = {
  countersign: 'services/index.ts',
  'countersign/client': 'clients/sdk/index.ts',
  'countersign/ai-sdk': 'clients/adapters/ai-sdk.ts',
  'countersign/openai-agents': 'clients/adapters/openai-agents.ts',
  'countersign/langchain': 'clients/adapters/langchain.ts',
  'countersign/claude-agent-sdk': 'clients/adapters/claude-agent-sdk.ts',
  'countersign/schemas': 'schemas/index.ts',
}

const READS_ENVIRONMENT = /^lib\/runtime\/|(^|\/)main\.ts$/
const TOOL_CONFIG = /(^|\/)vite\.config\.ts$/

/** Each violation as `path:line: what: the rule`; empty when all files keep the rules. */
export function violations(sources: Readonly<Record<string, string>>): string[] {
  return Object.entries(sources).flatMap(([path, text]) => {
    const file = readSource(path, text)
    return [...importViolations(file), ...styleViolations(file)]
  })
}

function importViolations({ path, imports }: SourceFile): string[] {
  const room = ROOMS.find(({ files }) => files.test(path))
  if (!room) return [`${path}: is in no room of the architecture`]
  return imports
    .filter((each) => !isAllowed(each, path, room))
    .map(({ line, specifier }) => `${path}:${line}: imports ${specifier ?? 'what nobody can tell'}: ${room.rule}`)
}

function isAllowed({ specifier }: Import, path: string, room: Room): boolean {
  if (specifier === null) return false
  const ours = specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier) : SELF[specifier]
  if (ours !== undefined) {
    const [, group = ''] = room.files.exec(path) ?? []
    return room.ours.some((allowed) => ours.startsWith(allowed.replace('$1', group)))
  }
  if (isBuiltin(specifier)) return room.node === 'any' || room.node.includes(specifier)
  const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
  return room.packages === 'any' || room.packages.includes(name)
}

function styleViolations({ path, environment, defaultExports, enums }: SourceFile): string[] {
  const at = (lines: number[], what: string) => lines.map((line) => `${path}:${line}: ${what}`)
  return [
    ...at(READS_ENVIRONMENT.test(path) ? [] : environment, 'reads process.env: only lib/runtime and main.ts do'),
    ...at(TOOL_CONFIG.test(path) ? [] : defaultExports, 'exports a default: exports have names'),
    ...at(enums, 'declares an enum: use an object that is `as const`'),
  ]
}
