import { useSignalEffect } from '@preact/signals'
import { useEffect, useRef, useState } from 'preact/hooks'
import { listDecided } from './api.ts'
import {
  type Answer,
  announcement,
  apply,
  applyPast,
  applySnapshot,
  type Card,
  cards,
  forgetAll,
  lookUpLinked,
  RECENT_LIMIT,
} from './approvals.ts'
import { decide } from './decide.ts'
import { Count, Header } from './header.tsx'
import { Help } from './help.tsx'
import { listenToKeys } from './keys.ts'
import { List } from './list.tsx'
import { Recent } from './recent.tsx'
import { mayDecide, signedOut, voteOf } from './session.ts'
import { openStream, type Stream } from './stream.ts'
import type { Session } from './wire.ts'

/** What somebody who is signed in sees. */
export function Desk({ session }: { session: Session }) {
  const help = useRef<HTMLDialogElement>(null)
  const [stream, setStream] = useState<Stream>()

  useEffect(() => {
    const opened = openStream({
      onSnapshot: applySnapshot,
      onEvent: apply,
      onSignedOut: () => signedOut('Your session has ended. Sign in again.'),
    })
    setStream(opened)
    // The list of past decisions is a comfort: without it the page does its work.
    listDecided(RECENT_LIMIT).then(applyPast, () => undefined)
    return () => {
      opened.close()
      forgetAll()
    }
  }, [])

  useSignalEffect(() => void lookUpLinked())

  useEffect(() => {
    if (stream === undefined) return undefined
    return listenToKeys({
      onDecide(id, answer) {
        const card = cards.value.find((each) => each.id === id)
        if (card === undefined || !mayDecide(session) || voteOf(session, card.approval.value)) return
        void decide(card, answer, stream)
      },
      onHelp: () => help.current?.showModal(),
    })
  }, [stream, session])

  if (stream === undefined) return null
  const onDecide = (card: Card, answer: Answer) => void decide(card, answer, stream)
  return (
    <>
      <Header session={session} stream={stream} onHelp={() => help.current?.showModal()} />
      <main class="desk">
        <div class="desk-top">
          <h2>Waiting for a decision</h2>
          <Count />
        </div>
        <List session={session} onDecide={onDecide} />
        <Recent />
      </main>
      <output class="hidden">{announcement}</output>
      <Help dialog={help} />
    </>
  )
}
