import { type ApprovalView, viewOf } from '../../../lib/core/view.ts'
import type { Decider } from '../../../lib/ports/decider.ts'
import type { MessagePlace, SlackApi } from '../../../lib/ports/slack.ts'
import { type CardOptions, cardOf } from './card.ts'

/** How often a card is written again because its approval changed while it was written. */
const MOST_WRITES = 5

/** Cards in Slack, each as its approval stands. */
export class Cards {
  readonly #api: Pick<SlackApi, 'post' | 'update' | 'find'>
  readonly #decider: Pick<Decider, 'lookup'>
  readonly #optionsOf: (approval: ApprovalView) => CardOptions

  constructor(deps: {
    api: Pick<SlackApi, 'post' | 'update' | 'find'>
    decider: Pick<Decider, 'lookup'>
    optionsOf: (approval: ApprovalView) => CardOptions
  }) {
    this.#api = deps.api
    this.#decider = deps.decider
    this.#optionsOf = deps.optionsOf
  }

  /** A new card. What happened to the approval while Slack took it is shown as well: nobody else knows the place yet. */
  async post(channel: string, approval: ApprovalView): Promise<MessagePlace> {
    const place = await this.#api.post(channel, cardOf(approval, this.#optionsOf(approval)), { about: approval.id })
    try {
      const { version } = await this.#standing(approval)
      if (version > approval.version) await this.refresh(place, approval)
    } catch {
      // The card is there, and posting it again would be worse: what happens next writes it anew.
    }
    return place
  }

  /** The card that an earlier attempt may have posted without learning of it. */
  find(channel: string, approval: ApprovalView): Promise<MessagePlace | undefined> {
    return this.#api.find(channel, approval.id, Date.parse(approval.requestedAt))
  }

  /**
   * Writes the card until it shows the record as it stands: clicks and deliveries write the same card, and what was read
   * first may be written last.
   */
  async refresh(place: MessagePlace, { tenant, id }: Pick<ApprovalView, 'tenant' | 'id'>): Promise<void> {
    let standing = await this.#standing({ tenant, id })
    for (let write = 0; write < MOST_WRITES; write++) {
      await this.#api.update(place, cardOf(standing, this.#optionsOf(standing)))
      const now = await this.#standing({ tenant, id })
      if (now.version <= standing.version) return
      standing = now
    }
  }

  async #standing({ tenant, id }: Pick<ApprovalView, 'tenant' | 'id'>): Promise<ApprovalView> {
    return viewOf(await this.#decider.lookup(tenant, id))
  }
}
