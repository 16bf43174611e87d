import { type CallbackGrant, callbackToken, readCallbackToken } from '../../../lib/core/callback-token.ts'
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
   * What a token allows. `tenantOf` knows the tenant of an endpoint whose links count. The same error for whatever is
   * wrong with it.
   */
  async read(token: string, tenantOf: (endpoint: string) => Promise<string | undefined>): Promise<CallbackGrant> {
    const said = readCallbackToken(token)
    const tenant = said && (await tenantOf(said.endpoint))
    if (!said || tenant === undefined || !said.isSigned(this.#key, tenant))
      throw new CountersignError(
        'approval_not_found',
        'This link leads nowhere: it is not whole, or its endpoint is no more.',
      )
    const { decision, approvalId, endpoint, expiresAt } = said
    return { decision, approvalId, endpoint, tenant, expiresAt }
  }
}
