import type { Decider } from '../../ports/decider.ts'
import type { DeciderHttp } from './decider-http.ts'

/** The decider of another process, by its internal routes. */
export function createDeciderClient(http: DeciderHttp): Decider {
  return {
    claim: (request) => http.call('/v1/claims', request),
    lookup: (tenant, id) => http.call('/v1/internal/lookup', { tenant, id }),
    settle: (report) => http.call('/v1/internal/settle', report),
    leave: (request) => http.call('/v1/internal/leave', request),
    withdraw: (request) => http.call('/v1/internal/withdraw', request),
    decide: (request) => http.call('/v1/internal/decide', request),
    list: (query) => http.call('/v1/internal/list', query),
  }
}
