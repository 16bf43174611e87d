import { readFileSync } from 'node:fs'
import { describe, expect, it, test } from 'vitest'
import { parse } from 'yaml'
import type { RunningServer, ServiceName } from '../../clients/cli/local.ts'
import { readDecider, readKafka, readMongoUrl, readServiceKey } from '../../lib/runtime/fleet-settings.ts'
import { countersign } from '../unit/cli/fixture.ts'

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')

interface Service {
  image: string
  command?: string[]
  environment: Record<string, string>
  ports?: string[]
  depends_on?: Record<string, { condition: string }>
  healthcheck?: { test: string[] }
  volumes?: string[]
  [key: string]: unknown
}

const text = read('docker-compose.yml')
const compose = parse(text, { merge: true }) as { services: Record<string, Service>; volumes: Record<string, null> }
const services = Object.entries(compose.services)
const OURS: ServiceName[] = ['gate', 'notifier', 'decider']
const ours = OURS.map((name) => ({ name, service: compose.services[name]! }))
const variables = [...text.matchAll(/\$\{(\w+)/g)].map(([, name = '']) => name)

/** As compose does it: what is set, else the default. */
const interpolated = (value: string, env: Record<string, string> = {}): string =>
  value.replaceAll(/\$\{(\w+)(?::[-?]([^}]*))?\}/g, (_, name: string, otherwise = '') => env[name] ?? otherwise)

const aborted = AbortSignal.abort()
const server: RunningServer = {
  url: 'http://localhost',
  onEngines: false,
  created: false,
  agentKey: undefined,
  loginUrl: undefined,
  reloadPolicy: () => {},
  close: async () => {},
}

describe('docker-compose.yml', () => {
  it('has our three services and the two engines', () => {
    expect(Object.keys(compose.services).sort()).toEqual(['decider', 'gate', 'kafka', 'mongo', 'notifier'])
  })

  it.each(services)('%s has a pinned image, a health check, a restart, and can gain no privileges', (_, service) => {
    expect(service.image).toMatch(/^[a-z/]+:(?!latest)[\w.-]+$/)
    expect(service.healthcheck?.test[0]).toBe('CMD')
    expect(service).toMatchObject({ restart: 'unless-stopped', security_opt: ['no-new-privileges:true'] })
    expect(service).not.toHaveProperty('privileged')
  })

  it.each(services)('%s publishes on loopback alone', (name, { ports = [] }) => {
    expect(ports.length).toBe(['gate', 'notifier'].includes(name) ? 1 : 0)
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/)
  })

  it.each(services)(
    '%s keeps its data in volumes that are declared, and waits for the health of others',
    (_, service) => {
      for (const volume of service.volumes ?? []) expect(compose.volumes).toHaveProperty(volume.split(':')[0] ?? '')
      for (const [name, { condition }] of Object.entries(service.depends_on ?? {})) {
        expect(compose.services).toHaveProperty(name)
        expect(condition).toBe('service_healthy')
      }
    },
  )

  describe.each(ours)('$name', ({ name, service }) => {
    it('is built here, read-only, without capabilities, and as the user of the image', () => {
      expect(service).toMatchObject({ build: '.', image: 'countersign:local', read_only: true, cap_drop: ['ALL'] })
      for (const key of ['user', 'cap_add', 'tmpfs', 'volumes']) expect(service).not.toHaveProperty(key)
    })

    it('runs a command that there is, on the port that is published and asked for its health', async () => {
      let asked: unknown
      const { exit, err } = await countersign(service.command ?? [], {
        interrupted: aborted,
        local: {
          service: async (...args) => {
            asked = args
            return server
          },
        },
      })
      expect([exit, err]).toEqual([0, ''])
      const port = { gate: 4100, notifier: 4101, decider: 4102 }[name]
      expect(asked).toEqual([name, { port, host: '0.0.0.0', waitForMs: 60_000 }])
      expect(service.healthcheck?.test.at(-1)).toContain(`http://127.0.0.1:${port}/readyz`)
      for (const each of service.ports ?? []) expect(interpolated(each)).toBe(`127.0.0.1:${port}:${port}`)
    })

    it('has the environment that it needs, in names that are documented', () => {
      const key = { COUNTERSIGN_SERVICE_KEY: 'k'.repeat(32) }
      const env = Object.fromEntries(Object.entries(service.environment).map(([k, v]) => [k, interpolated(v, key)]))
      const problems: string[] = []
      readKafka(env, problems)
      if (name === 'decider') readMongoUrl(env, problems)
      else expect(readDecider(env, problems).url).toBe('http://decider:4102')
      expect(readServiceKey(env, problems)).toBe(key.COUNTERSIGN_SERVICE_KEY)
      expect(problems).toEqual([])
      const documented = read('docs/reference/configuration.md')
      for (const variable of Object.keys(env)) expect(documented).toContain(`\`${variable}\``)
    })
  })

  it('has no service key of its own, and refuses to start without one', () => {
    expect(ours.map(({ service }) => service.environment.COUNTERSIGN_SERVICE_KEY)).toEqual(
      OURS.map(() => expect.stringMatching(/^\$\{COUNTERSIGN_SERVICE_KEY:\?/)),
    )
  })

  it.each([...new Set(variables)])('%s is told of in docker.md', (variable) => {
    expect(read('docs/docker.md')).toContain(`\`${variable}\``)
  })
})

describe('Dockerfile', () => {
  const lines = read('Dockerfile')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
  const values = (instruction: string): string[] =>
    lines.flatMap((line) => (line.startsWith(`${instruction} `) ? [line.slice(instruction.length + 1)] : []))
  const [final = ''] = read('Dockerfile')
    .split(/^(?=FROM )/m)
    .slice(-1)

  it('builds on one pinned base, and hands on no sources and no tools of the build', () => {
    expect(new Set(values('FROM').map((from) => from.split(' ')[0]))).toEqual(new Set(['node:22-slim']))
    const copied = [...final.matchAll(/^COPY (.+) \S+$/gm)].map(([, what]) => what)
    expect(copied).toEqual(['package.json', 'node_modules', 'dist'].map((name) => `--from=build /app/${name}`))
  })

  it('does not run as root', () => {
    expect(final).toMatch(/^USER node$/m)
    expect(values('USER')).toEqual(['node'])
  })

  test('node is process 1, and runs `up` for others than itself unless it is told something else', async () => {
    const [entry = ''] = values('ENTRYPOINT')
    expect(JSON.parse(entry)).toEqual(['node', '/app/dist/clients/cli/main.js'])
    const [command = ''] = values('CMD').filter((line) => line.startsWith('["up"'))
    let asked: unknown
    const { exit } = await countersign(JSON.parse(command) as string[], {
      interrupted: aborted,
      local: {
        up: async (options) => {
          asked = options
          return { ...server, url: 'http://localhost:4100' }
        },
      },
    })
    expect(exit).toBe(0)
    expect(asked).toMatchObject({ host: '0.0.0.0', port: 4100, dataDir: '.countersign' })
    expect(read('Dockerfile')).toMatch(/HEALTHCHECK[\s\S]*http:\/\/127\.0\.0\.1:4100\/readyz/)
  })

  it('is given what the build reads, and nothing that is not named', () => {
    const [first, ...allowed] = read('.dockerignore')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
    expect(first).toBe('*')
    const { include } = JSON.parse(read('tsconfig.build.json')) as { include: string[] }
    const needed = ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json', 'scripts/build.mjs']
    const folders = [...include, 'clients/dashboard'].map((path) => path.split('/')[0])
    expect(new Set(allowed)).toEqual(new Set([...needed, '.npmrc', ...folders].map((path) => `!${path}`)))
  })
})
