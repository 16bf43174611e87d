import { Type } from 'typebox'

/** What the sections of countersign.yaml are made of. */
export const Name = Type.String({ pattern: '^[A-Za-z0-9._@-]{1,64}$' })
export const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' })
export const DurationText = Type.String({ pattern: '^[0-9]{1,9}(ms|s|m|h|d)$' })
export const SizeText = Type.String({ pattern: '^[0-9]{1,6}(B|KiB|MiB|GiB)$' })
export const closed = { additionalProperties: false }

export function parseSize(text: string): number {
  const unit = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 }
  const found = /^(\d+)(B|KiB|MiB|GiB)$/.exec(text)
  return found ? Number(found[1]) * unit[found[2] as keyof typeof unit] : 0
}
