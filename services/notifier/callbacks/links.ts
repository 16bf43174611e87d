import {
  type CallbackGrant,
  type CallbackPlace,
  callbackToken,
  readCallbackToken,
} from '../../../lib/core/callback-token.ts'
import { CountersignError } from '../../../lib/core/errors.ts'

/** Links that decide, for systems which can do no more than open one. */
export class CallbackLinks {
  readonly #key: Buffer
  #baseUrl: string | undefined

  /** `baseUrl` is how others reach this service; undefined: as it will listen. */
  constructor({ key, baseUrl }: { key: Buffer; baseUrl: string | undefined }) {
    this.#key = key
    this.#baseUrl = baseUrl
  }

  listening(url: string): void {
    this.#baseUrl ??= url
  }

  /** The same for the same grant, so that a body is the same in every attempt. */
  urls(grant: Omit<CallbackGrant, 'decision'>): { approve: string; deny: string } {
    const url = (decision: CallbackGrant['decision']) =>
      `${this.#baseUrl}/v1/callbacks/${callbackToken(this.#key, { ...grant, decision })}`
    return { approve: url('approve'), deny: url('deny') }
  }

  /**
   * What a token allows. `placeOf` finds the endpoint as it is now; undefined where there is none whose links count.
   * The same error for whatever is wrong with it.
   */
  async read(token: string, placeOf: (endpoint: string) => Promise<CallbackPlace | undefined>): Promise<CallbackGrant> {
    const said = readCallbackToken(token)
    const place = said && (await placeOf(said.endpoint))
    if (!said || !place || !said.isSigned(this.#key, place)) throw leadsNowhere()
    const { isSigned: _, ...signed } = said
    return { ...signed, ...place }
  }
}

export const leadsNowhere = () =>
  new CountersignError(
    'approval_not_found',
    'This link leads nowhere: it is not whole, or its endpoint is gone, switched off, or another than it was.',
  )
