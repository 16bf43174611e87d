export type { Approvals, DecideOptions, DecisionResult, ListPage, ListQuery } from './approvals.ts'
export { type Client, createClient } from './client.ts'
export { CountersignClientError } from './client-error.ts'
export type { ActionContext, Allowed, Denied, GuardOptions, GuardResult, Pending } from './guard.ts'
export type { WatchOptions } from './pending-watch.ts'
export type { ClientOptions } from './transport.ts'
export type {
  ActorView,
  ApprovalView,
  Decision,
  HistoryEntryView,
  Problem,
  ReportedOutcome,
  Risk,
  Status,
} from './types.ts'
export type { WrapOptions, WrapResult } from './wrap.ts'
