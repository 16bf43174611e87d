import { CountersignClientError } from './client-error.ts'
import type { Denied, GuardOptions, GuardResult } from './guard.ts'
import { report, runAllowed } from './run.ts'

/** A key or an approval belongs to one call, and a wrapped function is called many times. */
type EachCall = Omit<GuardOptions, 'idempotencyKey' | 'approvalId'>

export type WrapOptions<P extends unknown[], A extends object = object> = EachCall & {
  /** Name of the tool, as rules match it. Default: the function's name. */
  tool?: string
} & (
    | { args?: never; onArgs?: never }
    | {
        /** The parameters as one plain object. Default: the only parameter, which must be one. */
        args: (...params: P) => A
        /** The parameters to run with, from the arguments as they were approved. */
        onArgs: (args: A, params: P) => [...P]
      }
  )

export type WrapResult<R> =
  | {
      ok: true
      value: R
      /** True when a person changed the arguments. */
      edited: boolean
      approvalId?: string
      /** False when the outcome could not be reported; the record will then say `unknown`. */
      reported: boolean
    }
  | { ok: false; denial: Denied }

type Guard = <A extends object>(tool: string, args: A, options: GuardOptions) => Promise<GuardResult<A>>

/**
 * The function behind a gate: it runs only when allowed, with exactly the arguments that were approved, and its outcome
 * is reported. The function's own error is rethrown. A denial is a value.
 */
export function wrap<P extends unknown[], R, A extends object>(
  guard: Guard,
  fn: (...params: P) => R | Promise<R>,
  options: WrapOptions<P, A> = {},
): (...params: P) => Promise<WrapResult<R>> {
  const { tool = fn.name, args: toArgs, onArgs, ...guardOptions } = options
  if (tool === '') throw new CountersignClientError('usage', 'wrap: the function has no name; give { tool }')
  if ((toArgs === undefined) !== (onArgs === undefined))
    throw new CountersignClientError('usage', 'wrap: args and onArgs go together, so that edits reach the function')

  return async (...params) => {
    const result = await guard(tool, toArgs ? toArgs(...params) : onlyObject<A>(params), guardOptions)
    if (result.effect === 'deny') return { ok: false, denial: result }

    let approved: P
    try {
      approved = onArgs ? onArgs(result.args, params) : ([result.args] as unknown[] as P)
    } catch (error) {
      await report(result, 'not_executed', error)
      throw error
    }
    const { value, reported } = await runAllowed(result, () => fn(...approved))
    const { edited, approvalId } = result
    return { ok: true, value, edited, ...(approvalId === undefined ? {} : { approvalId }), reported }
  }
}

function onlyObject<A extends object>(params: readonly unknown[]): A {
  const [only = {}] = params
  if (params.length > 1 || typeof only !== 'object' || only === null || Array.isArray(only))
    throw new CountersignClientError('usage', 'wrap: the function takes other than one object; give { args, onArgs }')
  return only as A
}
