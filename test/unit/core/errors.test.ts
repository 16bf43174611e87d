import { describe, expect, it } from 'vitest'
import { CountersignError, ERRORS, type ErrorCode, problem } from '../../../lib/core/errors.ts'

const codes = Object.keys(ERRORS) as ErrorCode[]

describe.each(codes)('%s', (code) => {
  const { status, rpc, retryable, exit, title } = ERRORS[code]

  it('is a full row of the table', () => {
    expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/)
    expect(status).toBeGreaterThanOrEqual(400)
    expect(rpc).toBeLessThan(0)
    expect([1, 2, 3]).toContain(exit)
    expect(title).toMatch(/^[A-Z].*[^.]$/)
    if (status === 503 || status === 429) expect(retryable).toBe(true)
  })

  it('makes problem details', () => {
    const body = problem(code, { detail: 'Why.', retryAfter: 3, approvalId: 'apr_1' }, 'agent', 't1')
    expect(body).toMatchObject({ status, title, code, retryable, detail: 'Why.', approvalId: 'apr_1', traceId: 't1' })
    expect(body.type).toBe(`urn:countersign:problem:${code.replaceAll('_', '-')}`)
    expect(body).not.toHaveProperty('retryAfter')
  })
})

it('tells an approver who comes too late of a conflict, and an agent that it is refused', () => {
  for (const code of ['approval_expired', 'approval_cancelled'] as const) {
    expect(problem(code, {}, 'approver').status).toBe(409)
    expect(problem(code, {}, 'agent').status).toBe(403)
  }
  expect(problem('approval_denied', {}, 'agent').retryable).toBe(false)
  expect(problem('no_decision', {}, 'agent')).toMatchObject({ status: 403, retryable: true })
})

it('carries its detail as the message, or else its title', () => {
  expect(new CountersignError('forbidden', 'Not you.')).toMatchObject({
    message: 'Not you.',
    details: { detail: 'Not you.' },
  })
  expect(new CountersignError('forbidden').message).toBe(ERRORS.forbidden.title)
  const cause = new Error('inner')
  expect(new CountersignError('internal_error', {}, { cause }).cause).toBe(cause)
})
