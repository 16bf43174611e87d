import { SlackError } from '../../ports/slack.ts'

type Call = (method: string, args: Record<string, unknown>) => Promise<Record<string, unknown>>

/** Slack wants fewer than a thousand. */
const PAGE = 999
const MOST_PAGES = 20

/** The ids of channels by their names: posting alone takes names. */
export class ChannelIds {
  readonly #call: Call
  readonly #known = new Map<string, string>()
  readonly #underWay = new Map<string, Promise<string | undefined>>()

  constructor(call: Call) {
    this.#call = call
  }

  /** What Slack said when something was posted to it. */
  learn(channel: string, id: string): void {
    this.#known.set(channel, id)
  }

  /**
   * The id of `#name`; an id is its own. Undefined when there is no such channel; rejects with SlackError while that
   * cannot be known, as for a token that may not list the channels.
   */
  async of(channel: string): Promise<string | undefined> {
    if (!channel.startsWith('#')) return channel
    const known = this.#known.get(channel)
    if (known !== undefined) return known
    const asked = this.#underWay.get(channel) ?? this.#ask(channel).finally(() => this.#underWay.delete(channel))
    this.#underWay.set(channel, asked)
    return asked
  }

  /** Each type of channel has a scope of its own, and one may be enough. */
  async #ask(channel: string): Promise<string | undefined> {
    let refused: unknown
    for (const types of ['public_channel', 'private_channel']) {
      try {
        const id = await this.#listed(channel.slice(1), types)
        if (id === undefined) continue
        this.learn(channel, id)
        return id
      } catch (error) {
        if (!(error instanceof SlackError) || error.reason !== 'missing_scope') throw error
        refused = error
      }
    }
    if (refused !== undefined) throw refused
    return undefined
  }

  async #listed(name: string, types: string): Promise<string | undefined> {
    let cursor = ''
    for (let page = 0; page < MOST_PAGES; page++) {
      const args = { types, exclude_archived: true, limit: PAGE, ...(cursor === '' ? {} : { cursor }) }
      const answer = await this.#call('conversations.list', args)
      if (!Array.isArray(answer.channels)) throw new SlackError('malformed_answer')
      const found = answer.channels.find((each: { name?: unknown; id?: unknown }) => each.name === name)
      if (found !== undefined && typeof found.id === 'string') return found.id
      cursor = nextCursorOf(answer)
      if (cursor === '') return undefined
    }
    throw new SlackError('too_many_channels')
  }
}

/** Empty on the last page. */
export function nextCursorOf(answer: Record<string, unknown>): string {
  const { next_cursor: cursor } = (answer.response_metadata ?? {}) as { next_cursor?: unknown }
  return typeof cursor === 'string' ? cursor : ''
}
