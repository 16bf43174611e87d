import { clip, padEnd, widthOf } from './text-width.ts'

export interface Column<T> {
  head: string
  /** Printable text. */
  cell: (row: T) => string
  /** Colours the padded cell. */
  paint?: (cell: string, row: T) => string
  /** Longest cell, in columns. */
  most?: number
}

const GAP = '  '
const LEAST = 12

/** Lines of a table with a head. The last column gives way to `width`; without a width nothing of it is cut. */
export function table<T>(
  columns: readonly Column<T>[],
  rows: readonly T[],
  options: { width: number | undefined; paintHead: (text: string) => string },
): string[] {
  const cells = rows.map((row) => columns.map(({ cell, most }) => clip(cell(row), most ?? Number.POSITIVE_INFINITY)))
  const widths = columns.map(({ head }, at) => Math.max(widthOf(head), ...cells.map((line) => widthOf(line[at] ?? ''))))
  const before = widths.slice(0, -1).reduce((sum, width) => sum + width + GAP.length, 0)
  const last = Math.max(LEAST, (options.width ?? Number.POSITIVE_INFINITY) - before)
  const line = (texts: readonly string[], paint: (text: string, at: number) => string) =>
    texts
      .map((text, at) => paint(at === columns.length - 1 ? clip(text, last) : padEnd(text, widths[at] ?? 0), at))
      .join(GAP)
      .trimEnd()
  return [
    line(
      columns.map(({ head }) => head),
      options.paintHead,
    ),
    ...cells.map((texts, index) => {
      const row = rows[index] as T
      return line(texts, (text, at) => columns[at]?.paint?.(text, row) ?? text)
    }),
  ]
}
