import { type Static, Type } from 'typebox'
import { closed } from './fields.ts'

/** `slack` of countersign.yaml; the tokens come from SLACK_BOT_TOKEN, SLACK_SIGNING_SECRET and SLACK_APP_TOKEN. */
export const SlackFile = Type.Object({ channel: Type.String() }, closed)

export interface SlackConfig {
  channel: string
}

export const readSlack = (
  file: Static<typeof SlackFile> | undefined,
  _env: NodeJS.ProcessEnv,
  _problems: string[],
): SlackConfig | undefined => file
