import { signal } from '@preact/signals'
import type { ApprovalView } from '../sdk/types.ts'
import { createSession, deleteSession, getSession, isUnauthenticated, messageOf } from './api.ts'
import { takeLink } from './linked.ts'
import type { Session } from './wire.ts'

export type SessionState =
  | { kind: 'starting' }
  | { kind: 'signedIn'; session: Session }
  /** `failure`: why the last attempt did not work. `standing`: a session that still holds beside a login link that failed. */
  | { kind: 'signedOut'; failure?: string; standing?: Session }
  | { kind: 'unreachable'; failure: string }

export const sessionState = signal<SessionState>({ kind: 'starting' })

const CODE = /^#code=(.+)$/

/** Signs in by the login link that the page was opened with, or goes on with the session that the browser has. */
export async function startSession(): Promise<void> {
  takeLink(location.hash)
  const code = CODE.exec(location.hash)?.[1]
  if (code === undefined) return resume()
  // A code works once, but it has no business in the history of the browser either.
  history.replaceState(null, '', '/login')
  sessionState.value = { kind: 'starting' }
  try {
    await createSession({ code: decodeURIComponent(code) })
  } catch (error) {
    const failure = isUnauthenticated(error)
      ? `This login link does not work: it was used already, or it is too old. (${messageOf(error)})`
      : messageOf(error)
    const standing = await getSession().catch(() => undefined)
    sessionState.value = { kind: 'signedOut', failure, ...(standing === undefined ? {} : { standing }) }
    return
  }
  await resume()
}

/** Resolves with the reason when the token is refused. */
export async function signIn(token: string): Promise<string | undefined> {
  try {
    await createSession({ token })
  } catch (error) {
    return isUnauthenticated(error)
      ? 'This token is not valid. It may have been revoked, or it was not copied whole.'
      : messageOf(error)
  }
  await resume()
  return undefined
}

export async function signOut(): Promise<void> {
  try {
    await deleteSession()
  } catch (error) {
    if (!isUnauthenticated(error)) throw error
  }
  signedOut()
}

/** The server no longer knows this session. */
export function signedOut(failure?: string): void {
  history.replaceState(null, '', '/login')
  sessionState.value = { kind: 'signedOut', ...(failure === undefined ? {} : { failure }) }
}

export function enter(session: Session): void {
  history.replaceState(null, '', '/')
  sessionState.value = { kind: 'signedIn', session }
}

async function resume(): Promise<void> {
  try {
    enter(await getSession())
  } catch (error) {
    if (isUnauthenticated(error)) signedOut()
    else sessionState.value = { kind: 'unreachable', failure: messageOf(error) }
  }
}

const DECIDERS = new Set(['approver', 'admin'])

export const mayDecide = (session: Session): boolean => DECIDERS.has(session.role)

/** The vote that this person gave already. */
export const voteOf = (session: Session, approval: ApprovalView): ApprovalView['votes'][number] | undefined =>
  approval.votes.find(({ by }) => by.name === session.name)
