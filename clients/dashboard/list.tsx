import { useEffect, useRef, useState } from 'preact/hooks'
import { type Answer, type Card, cards, dismiss, loaded } from './approvals.ts'
import { CardView } from './card.tsx'
import { now } from './clock.ts'
import { cardIdOf } from './keys.ts'
import { linked } from './linked.ts'
import type { Session } from './wire.ts'

/** How long a decided card stays before it leaves by itself. */
const STAY_MS = 8_000
/** After the list has moved, a click may be meant for what was there before. */
const STILL_MS = 350
/** Drawn at once; the rest waits for the viewer. */
const PAGE = 50

/** The cards. None moves while somebody points at the list or types in it. */
export function List({ session, onDecide }: { session: Session; onDecide: (card: Card, answer: Answer) => void }) {
  const list = useRef<HTMLElement>(null)
  const pointed = useRef(false)
  const [shown, setShown] = useState(PAGE)

  useEffect(() => now.subscribe(() => leaveDue(list.current, pointed.current)), [])
  useEffect(() => keepStill(list.current), [])

  function onDismiss(card: Card) {
    dismiss(card)
    // Not to the next card: a key that was meant for this one would decide there.
    list.current?.focus()
  }

  const all = cards.value
  const drawn = Math.max(shown, all.findIndex(({ id }) => id === linked.value) + 1)
  return (
    <section
      ref={list}
      class="list"
      tabIndex={-1}
      aria-label="Waiting for a decision"
      onPointerEnter={(event) => {
        pointed.current = event.pointerType === 'mouse'
      }}
      onPointerLeave={() => {
        pointed.current = false
      }}
    >
      {loaded.value && all.length === 0 && <Empty />}
      {all.slice(0, drawn).map((card) => (
        <CardView key={card.id} card={card} session={session} onDecide={onDecide} onDismiss={onDismiss} />
      ))}
      {all.length > drawn && (
        <button type="button" class="more" onClick={() => setShown(drawn + PAGE)}>
          {all.length - drawn} more wait. Show the next.
        </button>
      )}
    </section>
  )
}

function Empty() {
  return (
    <div class="empty">
      <h3>Nothing is waiting.</h3>
      <p>
        A call that a rule wants to have approved appears here by itself. To see one, run <code>countersign demo</code>,
        or send a request as an agent:
      </p>
      <pre>
        <code>{EXAMPLE}</code>
      </pre>
    </div>
  )
}

const EXAMPLE = `curl ${location.origin}/v1/actions \\
  -H 'authorization: Bearer csk_…' \\
  -H 'content-type: application/json' \\
  -d '{"tool":"Bash","args":{"command":"rm -rf build"}}'`

/** Decided cards leave after a while, but never from under a pointer, a focus, or somebody's typing. */
function leaveDue(list: HTMLElement | null, pointed: boolean): void {
  const focused = document.activeElement
  if (list === null || pointed || (focused instanceof HTMLTextAreaElement && list.contains(focused))) return
  for (const card of cards.peek()) {
    const phase = card.phase.peek()
    if (phase.kind !== 'settled' || phase.late !== undefined || Date.now() - phase.since < STAY_MS) continue
    if (cardIdOf(focused) !== card.id) dismiss(card)
  }
}

/** Takes no clicks for a moment whenever the list changes its height. */
function keepStill(list: HTMLElement | null): (() => void) | undefined {
  if (list === null) return undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  const observer = new ResizeObserver(() => {
    list.classList.add('moving')
    clearTimeout(timer)
    timer = setTimeout(() => list.classList.remove('moving'), STILL_MS)
  })
  observer.observe(list)
  return () => {
    observer.disconnect()
    clearTimeout(timer)
  }
}
