import { CountersignError } from '../../lib/core/errors.ts'
import { isApprovalId } from '../../lib/core/ids.ts'

/** The approval that a `Countersign-Approval` header names, or null. Throws `invalid_request`. */
export function namedApproval(header: string | string[] | undefined): string | null {
  if (header === undefined) return null
  if (typeof header !== 'string' || !isApprovalId(header))
    throw new CountersignError('invalid_request', 'Countersign-Approval takes the id of an approval.')
  return header
}
