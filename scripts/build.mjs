import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * Builds dist/: the code with tsc, the page with vite, both at once, and each only when what it is made of has changed.
 * On a failure it prints what the tool said and exits with 1.
 */
const root = fileURLToPath(new URL('..', import.meta.url))
const dist = join(root, 'dist')
const stamps = join(dist, '.build')
const tools = ['scripts/build.mjs', 'package.json', 'package-lock.json', 'tsconfig.json']

const parts = [
  {
    name: 'code',
    inputs: [
      'lib',
      'services',
      'clients/cli',
      'clients/sdk',
      'clients/adapters',
      'schemas',
      'tsconfig.build.json',
      ...tools,
    ],
    outputs: ['lib', 'services', 'clients', 'schemas'],
    make: makeCode,
  },
  {
    name: 'page',
    inputs: ['clients/dashboard', 'clients/sdk', ...tools],
    outputs: ['dashboard'],
    make: makePage,
  },
]

const started = performance.now()
const failure = new AbortController()
try {
  const stale = parts
    .map((part) => ({ ...part, digest: digestOf(part.inputs), stamp: join(stamps, part.name) }))
    .filter(({ outputs, digest, stamp }) => !isFresh(outputs, digest, stamp))
  if (stale.length > 0) {
    clean(stale)
    await Promise.all(stale.map(build))
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    console.error(`built ${stale.map(({ name }) => name).join(' and ')} in ${seconds} s`)
  }
} catch (error) {
  failure.abort()
  console.error(error.message)
  process.exitCode = 1
}

async function build({ make, digest, stamp }) {
  await make()
  mkdirSync(stamps, { recursive: true })
  writeFileSync(stamp, digest)
}

async function makeCode() {
  await run('typescript', 'bin/tsc', ['-p', 'tsconfig.build.json'])
  cpSync(join(root, 'schemas'), join(dist, 'schemas'), {
    recursive: true,
    filter: (path) => statSync(path).isDirectory() || path.endsWith('.avsc'),
  })
  chmodSync(join(dist, 'clients/cli/main.js'), 0o755)
}

async function makePage() {
  if (!existsSync(join(root, 'clients/dashboard/vite.config.ts')))
    return console.error('no page: clients/dashboard/vite.config.ts does not exist')
  const target = ['--outDir', join(dist, 'dashboard'), '--emptyOutDir']
  await run('vite', 'bin/vite.js', ['build', 'clients/dashboard', ...target, '--logLevel', 'warn'])
}

/** Rejects with what the tool printed when it fails. */
function run(name, bin, args) {
  const file = fileURLToPath(new URL(bin, import.meta.resolve(`${name}/package.json`)))
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [file, ...args], { cwd: root, signal: failure.signal })
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => {
        output += text
      })
    child.on('error', reject)
    child.on('close', (code, signal) => {
      if (code === 0) resolve()
      else reject(new Error(`${output.trimEnd()}\n${name} failed (${signal ?? `exit code ${code}`})`))
    })
  })
}

/** Removes what the stale parts made, and what no part makes. */
function clean(stale) {
  const keep = new Set(
    parts.filter(({ name }) => !stale.some((part) => part.name === name)).flatMap(({ outputs }) => outputs),
  )
  for (const { stamp } of stale) rmSync(stamp, { force: true })
  if (!existsSync(dist)) return
  for (const name of readdirSync(dist))
    if (name !== '.build' && !keep.has(name)) rmSync(join(dist, name), { recursive: true, force: true })
}

function isFresh(outputs, digest, stamp) {
  const isSame = existsSync(stamp) && readFileSync(stamp, 'utf8') === digest
  return isSame && outputs.every((name) => existsSync(join(dist, name)))
}

/** By content: a checkout changes every time of modification, and a copy keeps them. */
function digestOf(inputs) {
  const hash = createHash('sha256')
  for (const path of inputs.flatMap(filesUnder).sort()) {
    const content = readFileSync(join(root, path))
    hash.update(`${path}\0${content.length}\0`).update(content)
  }
  return hash.digest('hex')
}

function filesUnder(path) {
  if (!existsSync(join(root, path))) return []
  if (!statSync(join(root, path)).isDirectory()) return [path]
  return readdirSync(join(root, path)).flatMap((name) => filesUnder(`${path}/${name}`))
}
