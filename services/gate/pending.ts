import type { FastifyReply } from 'fastify'
import type { AskAnswer } from './asking.ts'

type Pending = Extract<AskAnswer, { type: 'pending' }>

/** 202 for a call that nobody has decided yet, and where to ask again; returns the body. */
export function pendingAnswer(reply: FastifyReply, { id, expiresAt, summary }: Pending) {
  reply.code(202).header('location', `/v1/actions/${id}`).header('retry-after', 1).header('countersign-approval', id)
  return { approvalId: id, status: 'pending' as const, expiresAt: new Date(expiresAt).toISOString(), summary }
}
