import { createHmac, timingSafeEqual } from 'node:crypto'
import type { DecisionWord } from './events.ts'
import { isApprovalId } from './ids.ts'

/** What a callback link is good for: one decision on one approval, through one endpoint, until then. */
export interface CallbackGrant {
  decision: DecisionWord
  approvalId: string
  endpoint: string
  tenant: string
  /** In whose name the endpoint's links decide. */
  approver: string
  /** Of the endpoint. */
  url: string
  /** Milliseconds since the epoch. */
  expiresAt: number
}

const WORDS = { a: 'approve', d: 'deny' } as const
const TOKEN = /^([ad])\.([0-9a-z]{26})\.([0-9a-z]{1,10})\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9._@-]{1,64})$/

/** The token of a grant: at most 150 characters, all of them plain in a path. Whoever has it may decide so, once. */
export function callbackToken(key: Buffer, grant: CallbackGrant): string {
  const { decision, approvalId, endpoint, expiresAt } = grant
  return [decision[0], approvalId.slice('apr_'.length), expiresAt.toString(36), signatureOf(key, grant), endpoint].join(
    '.',
  )
}

/** What the endpoint of a token is, as others know it: a link is dead when any of it is another than when it was made. */
export type CallbackPlace = Pick<CallbackGrant, 'tenant' | 'approver' | 'url'>

/** What a token says, and whether that is true of its endpoint. Undefined: no token. */
export function readCallbackToken(
  token: string,
): (Omit<CallbackGrant, keyof CallbackPlace> & { isSigned(key: Buffer, place: CallbackPlace): boolean }) | undefined {
  const [, word, id, expiry = '', signature = '', endpoint = ''] = TOKEN.exec(token) ?? []
  const approvalId = `apr_${id}`
  if (!word || !isApprovalId(approvalId)) return undefined
  const said = {
    decision: WORDS[word as keyof typeof WORDS],
    approvalId,
    endpoint,
    expiresAt: Number.parseInt(expiry, 36),
  }
  return {
    ...said,
    isSigned: (key, { tenant, approver, url }) =>
      timingSafeEqual(Buffer.from(signature), Buffer.from(signatureOf(key, { ...said, tenant, approver, url }))),
  }
}

function signatureOf(key: Buffer, grant: CallbackGrant): string {
  const { decision, approvalId, endpoint, tenant, approver, url, expiresAt } = grant
  const text = JSON.stringify(['callback', decision, approvalId, endpoint, tenant, approver, url, expiresAt])
  return createHmac('sha256', key).update(text).digest('base64url')
}
