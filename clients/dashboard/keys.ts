import type { Answer } from './approvals.ts'

const CARD_ATTRIBUTE = 'data-card'

/** Makes an element a card to the keys: it takes the focus, and is found by the approval's id. */
export const cardAttributes = (id: string) => ({ tabIndex: 0, [CARD_ATTRIBUTE]: id })

/** The approval whose card holds this element. */
export const cardIdOf = (element: Element | null): string | undefined =>
  element?.closest(`[${CARD_ATTRIBUTE}]`)?.getAttribute(CARD_ATTRIBUTE) ?? undefined

export interface KeyActions {
  onDecide(id: string, answer: Answer): void
  onHelp(): void
}

const STEPS: Record<string, 1 | -1> = { j: 1, arrowdown: 1, k: -1, arrowup: -1 }
const ANSWERS: Record<string, Answer> = { y: 'approve', n: 'deny', u: 'suggested' }

/** A field can go while somebody types in it, when the request is decided elsewhere: what follows is no command. */
const TYPING_MS = 1_500
/** Keys that leave a field on purpose. */
const LEAVING = new Set(['Escape', 'Enter', 'Tab'])

/** Listens until the returned function is called. */
export function listenToKeys({ onDecide, onHelp }: KeyActions): () => void {
  let typedAt = Number.NEGATIVE_INFINITY

  function listen(event: KeyboardEvent): void {
    const focused = document.activeElement
    if (isField(event.target)) {
      typedAt = LEAVING.has(event.key) ? Number.NEGATIVE_INFINITY : event.timeStamp
      return
    }
    if (event.timeStamp - typedAt < TYPING_MS) {
      typedAt = event.timeStamp
      return
    }
    if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return
    if (document.querySelector('dialog[open]') !== null) return
    if (event.key === '?') {
      event.preventDefault()
      onHelp()
      return
    }
    if (event.shiftKey) return
    const key = event.key.toLowerCase()
    const step = STEPS[key]
    if (step !== undefined) {
      if (moveFocus(focused, step)) event.preventDefault()
      return
    }
    const id = cardIdOf(focused)
    if (event.repeat || id === undefined) return
    const answer = ANSWERS[key]
    if (answer !== undefined) {
      // A reason that this asks for must not begin with the letter that asked.
      event.preventDefault()
      onDecide(id, answer)
    } else if (key === 'r') {
      event.preventDefault()
      focused?.closest(`[${CARD_ATTRIBUTE}]`)?.querySelector('textarea')?.focus()
    }
  }
  document.addEventListener('keydown', listen)
  return () => document.removeEventListener('keydown', listen)
}

const isField = (element: EventTarget | null): boolean =>
  element instanceof HTMLElement && (element.isContentEditable || element.matches('input, textarea, select'))

/** True when there was a card to move to. */
function moveFocus(focused: Element | null, step: 1 | -1): boolean {
  const all = [...document.querySelectorAll<HTMLElement>(`[${CARD_ATTRIBUTE}]`)]
  const at = all.findIndex((card) => card.contains(focused))
  const to = at === -1 ? (step === 1 ? all[0] : all.at(-1)) : all[at + step]
  if (to === undefined) return false
  to.focus({ preventScroll: true })
  to.scrollIntoView({ block: 'nearest' })
  return true
}
