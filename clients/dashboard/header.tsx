import { useState } from 'preact/hooks'
import { messageOf } from './api.ts'
import { waiting } from './approvals.ts'
import { Mark } from './mark.tsx'
import { signOut } from './session.ts'
import type { Stream, StreamStatus } from './stream.ts'
import { Untrusted } from './text.tsx'
import type { Session } from './wire.ts'

const STATUS: Record<StreamStatus, string> = { connecting: 'connecting…', live: 'live', reconnecting: 'reconnecting…' }

export function Header({ session, stream, onHelp }: { session: Session; stream: Stream; onHelp: () => void }) {
  const [failure, setFailure] = useState<string>()
  const status = stream.status.value
  return (
    <header class="top">
      <div class="top-inner">
        <h1>
          <Mark /> Countersign
        </h1>
        <span class="tenant" title="Tenant">
          <Untrusted text={session.tenant} />
        </span>
        <output class={`link link-${status}`}>{STATUS[status]}</output>
        <span class="grow" />
        <span class="who">
          <Untrusted text={session.name} /> <small>{session.role}</small>
        </span>
        <button type="button" class="quiet" aria-label="Help: the keys" title="The keys (?)" onClick={onHelp}>
          ?
        </button>
        <button
          type="button"
          class="quiet"
          onClick={() => signOut().catch((error: unknown) => setFailure(messageOf(error)))}
        >
          Sign out
        </button>
      </div>
      {failure !== undefined && (
        <p class="alert" role="alert">
          {failure}
        </p>
      )}
    </header>
  )
}

/** «3 waiting», above the list. */
export function Count() {
  const count = waiting.value
  return <p class="count">{count === 0 ? 'Nothing waits' : `${count} waiting`}</p>
}
