import type { RefObject } from 'preact'

const KEYS: [keys: string[], what: string][] = [
  [['J', '↓'], 'Next card'],
  [['K', '↑'], 'Card before'],
  [['Y'], 'Approve the focused card'],
  [['U'], 'Approve it with the arguments that an evaluator suggests'],
  [['N'], 'Deny the focused card'],
  [['R'], 'Write a reason'],
  [['Enter'], 'In a reason that was asked for: send it'],
  [['Esc'], 'Leave the reason, back to the card'],
  [['?'], 'This help'],
]

export function Help({ dialog }: { dialog: RefObject<HTMLDialogElement | null> }) {
  return (
    <dialog ref={dialog} class="panel help" aria-labelledby="help-title">
      <h2 id="help-title">Keys</h2>
      <dl>
        {KEYS.map(([keys, what]) => (
          <div key={what}>
            <dt>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <p class="note">
        Y, U and N act on the card that has the focus, and on no other. They do nothing while you type.
      </p>
      <form method="dialog">
        <button type="submit" class="primary">
          Close
        </button>
      </form>
    </dialog>
  )
}
