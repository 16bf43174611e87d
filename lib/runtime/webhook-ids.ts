import { randomBytes } from 'node:crypto'
import { uuidv7, uuidv7obj } from 'uuidv7'
import { base32 } from '../core/ids.ts'
import { MADE_ID_PREFIX } from './config/webhooks.ts'

export const newWebhookId = (): string => `${MADE_ID_PREFIX}${base32(uuidv7obj().bytes)}`

/** 32 random bytes as Standard Webhooks spells a secret. */
export const newWebhookSecret = (): string => `whsec_${randomBytes(32).toString('base64')}`

export const newEventId = (): string => uuidv7()
