import { type Command, InvalidArgumentError } from 'commander'
import { isApprovalId } from '../../lib/core/ids.ts'
import { DEFAULT_DATA } from './connection.ts'
import { printable } from './printable.ts'

/** A whole number within bounds, for `.option(…, parser)`. */
export const wholeNumber = (from: number, to: number) => (text: string) => {
  const number = Number(text)
  if (!/^\d{1,9}$/.test(text) || number < from || number > to)
    throw new InvalidArgumentError(`It must be a whole number from ${from} to ${to}.`)
  return number
}

export function jsonObject(text: string): object {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new InvalidArgumentError('It must be JSON.')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new InvalidArgumentError('It must be a JSON object.')
  return value
}

export function approvalId(text: string, before: string[] | undefined): string[] {
  if (!isApprovalId(text))
    throw new InvalidArgumentError(`${printable(text)} is no approval id: give it whole, apr_ and 26 characters.`)
  return [...new Set([...(before ?? []), text])]
}

/** How a command finds the server. */
export const withConnection = (command: Command): Command =>
  withData(
    command
      .option('--url <url>', 'the server (COUNTERSIGN_URL; default: the one of the data directory)')
      .option('--token <token>', 'approver token (COUNTERSIGN_TOKEN; default: the owner’s)'),
  )

export const withData = (command: Command): Command =>
  command.option('--data <dir>', 'data directory', DEFAULT_DATA).option('--json', 'print JSON')
