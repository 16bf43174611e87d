import { useMemo, useState } from 'preact/hooks'
import { indentJson, type Token } from './json-text.ts'
import { Pieces } from './text.tsx'

/** Longer than this is folded at first, and says so. */
const FOLD_LINES = 16
const FOLD_CHARACTERS = 1_400

/** The redacted arguments. */
export function Preview({ json, truncated }: { json: string; truncated: boolean }) {
  const tokens = useMemo(() => indentJson(json), [json])
  const [unfolded, unfold] = useState(false)
  const text = tokens?.map((token) => token.text).join('') ?? json
  const lines = text.split('\n').length
  const folds = lines > FOLD_LINES || text.length > FOLD_CHARACTERS

  return (
    <div class="preview">
      <pre class={folds && !unfolded ? 'folded' : undefined} dir="ltr">
        <code>{tokens === undefined ? <Pieces text={json} /> : tokens.map(draw)}</code>
      </pre>
      {folds && (
        <button type="button" class="fold" aria-expanded={unfolded} onClick={() => unfold(!unfolded)}>
          {unfolded ? 'Show less' : `Show all ${lines > FOLD_LINES ? `${lines} lines` : `${text.length} characters`}`}
        </button>
      )}
      {truncated && <p class="note">The arguments are longer than this: the preview was truncated.</p>}
    </div>
  )
}

function draw({ kind, text }: Token, index: number) {
  if (kind === 'space' || kind === 'mark') return text
  if (kind === 'break')
    return (
      <span key={index} class="json-break">
        {text}
      </span>
    )
  return (
    <bdi key={index} class={kind === 'escape' && text.startsWith('\\u') ? 'invisible' : `json-${kind}`}>
      <Pieces text={text} />
    </bdi>
  )
}
