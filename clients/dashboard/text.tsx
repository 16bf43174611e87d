import { piecesOf } from './invisible.ts'

/** Text with its disguise taken off. */
export function Pieces({ text }: { text: string }) {
  return (
    <>
      {piecesOf(text).map((piece, index) =>
        piece.escaped ? (
          <span key={index} class="invisible" title="A character that draws nothing">
            {piece.text}
          </span>
        ) : (
          piece.text
        ),
      )}
    </>
  )
}

/** What an agent or a person wrote: always text, in its own direction, and unable to touch the text around it. */
export function Untrusted({ text }: { text: string }) {
  return (
    <bdi dir="auto">
      <Pieces text={text} />
    </bdi>
  )
}
