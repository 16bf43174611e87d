import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { commandFits } from '../../../../../lib/core/policy/shell/command-fit.ts'
import { readCommandLine } from '../../../../../lib/core/policy/shell/command-line.ts'
import { type CommandSpec, type Polarity, parseCommandSpec } from '../../../../../lib/core/policy/shell/command-spec.ts'

interface Group {
  name: string
  spec: unknown
  fits?: string[]
  not?: string[]
  allows?: string[]
  refuses?: string[]
}

const groups: Group[] = parse(readFileSync(new URL('../../../../vectors/shell/fits.yaml', import.meta.url), 'utf8'))

const specOf = (value: unknown): CommandSpec => {
  const spec = parseCommandSpec(value)
  if (typeof spec === 'string') throw new Error(spec)
  return spec
}

const fits = (line: string, spec: CommandSpec, polarity: Polarity) =>
  commandFits(readCommandLine(line), spec, polarity) !== undefined

describe.each(groups)('$name', (group) => {
  const spec = specOf(group.spec)
  it.each(group.fits ?? [])('fits: %j', (line) => expect(fits(line, spec, 'strict')).toBe(true))
  it.each(group.not ?? [])('not: %j', (line) => expect(fits(line, spec, 'strict')).toBe(false))
  it.each(group.allows ?? [])('allows: %j', (line) => expect(fits(line, spec, 'narrow')).toBe(true))
  it.each(group.refuses ?? [])('refuses: %j', (line) => expect(fits(line, spec, 'narrow')).toBe(false))
})
