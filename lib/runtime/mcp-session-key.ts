import { hkdfSync, randomBytes } from 'node:crypto'

const BYTES = 32

/**
 * What MCP session ids are sealed with: derived from the service key, so that every gate of a fleet knows every session,
 * and again after a restart. Without a service key it is random: a restart ends all sessions.
 */
export const mcpSessionKey = (serviceKey: string | undefined): Uint8Array =>
  serviceKey === undefined
    ? randomBytes(BYTES)
    : new Uint8Array(hkdfSync('sha256', serviceKey, '', 'countersign mcp sessions', BYTES))
