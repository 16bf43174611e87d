import type { DecisionWord } from '../../../lib/core/events.ts'
import { jsonLines } from '../../../lib/core/json-lines.ts'
import type { ApprovalView } from '../../../lib/core/view.ts'
import type { MessagePlace, SlackBlock } from '../../../lib/ports/slack.ts'
import { LONGEST_REASON } from '../../../lib/runtime/schemas.ts'
import { inert, marked, plain } from './text.ts'

/** Names of the modal for a reason, of its input, and of the block around it. */
export const REASON = { view: 'countersign.reason', block: 'reason', input: 'countersign.reason.text' } as const

const SUMMARY = 800
/** Under the 3,000 characters of a text, with room for the fences. */
const PIECE = 2_900
const MOST_PIECES = 20

/** Asks for the reason of a decision. `place` is the card that was clicked. */
export function reasonModal(approval: ApprovalView, decision: DecisionWord, place: MessagePlace): SlackBlock {
  const verb = decision === 'approve' ? 'Approve' : 'Deny'
  return {
    type: 'modal',
    callback_id: REASON.view,
    private_metadata: JSON.stringify({ id: approval.id, decision, ...place }),
    title: plain(verb),
    submit: plain(verb),
    close: plain('Cancel'),
    blocks: [
      { type: 'section', text: plain(inert(approval.action.summary, SUMMARY)) },
      {
        type: 'input',
        block_id: REASON.block,
        optional: !approval.reasonRequired.includes(decision),
        label: plain('Reason'),
        hint: plain('The agent is told, and it goes on record.'),
        element: { type: 'plain_text_input', action_id: REASON.input, multiline: true, max_length: LONGEST_REASON },
      },
    ],
  }
}

/** Everything that approvers may see of the arguments, as code. */
export function detailsModal({ action, rule }: ApprovalView): SlackBlock {
  const { pieces, isWhole } = codeOf(action.preview)
  return {
    type: 'modal',
    title: plain('Details'),
    close: plain('Close'),
    blocks: [
      { type: 'section', text: plain(inert(action.summary, SUMMARY)) },
      ...pieces.map((piece) => ({ type: 'section', text: marked(`\`\`\`\n${piece}\n\`\`\``) })),
      ...(isWhole && !action.previewTruncated
        ? []
        : [{ type: 'context', elements: [plain('The arguments are too long to be shown whole.')] }]),
      ...(rule.why.length === 0 ? [] : [{ type: 'section', text: plain(`Why: ${inert(rule.why.join('; '), 2_000)}`) }]),
    ],
  }
}

/** Indented JSON in pieces that fit, each line inert. Backticks are written as JSON can write them: they would end the code. */
function codeOf(preview: string): { pieces: string[]; isWhole: boolean } {
  const pieces: string[] = []
  let piece = ''
  for (const line of jsonLines(preview)) {
    for (const part of inertParts(line)) {
      if (piece !== '' && piece.length + 1 + part.length > PIECE) {
        pieces.push(piece)
        piece = ''
        if (pieces.length === MOST_PIECES) return { pieces, isWhole: false }
      }
      piece += piece === '' ? part : `\n${part}`
    }
  }
  return { pieces: [...pieces, piece], isWhole: true }
}

/** A line may hold more than fits into one text: it goes on in the next. */
function inertParts(line: string): string[] {
  const characters = [...line]
  const longest = Math.floor(PIECE / LONGEST_ESCAPE)
  const parts: string[] = []
  for (let at = 0; at < characters.length || at === 0; at += longest)
    parts.push(inert(characters.slice(at, at + longest).join(''), PIECE).replaceAll('`', '\\u0060'))
  return parts
}

/** `\u{10ffff}`: what one character becomes at most. */
const LONGEST_ESCAPE = 10
