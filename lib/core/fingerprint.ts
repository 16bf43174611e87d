import { canonicalJson, type Json, sha256Hex } from './canonical-json.ts'

/** What makes two calls the same call: nobody is asked twice for it, and no approval serves another one. */
export interface FingerprintInput {
  tenant: string
  agentId: string
  kind: string
  /** Tool name, or method and target. */
  name: string
  /** Arguments, or the digest of the body. */
  args: Json
  /** Hash of the rules that spoke. */
  ruleRevision: string
  /** The session that the call names, if any: an approval given in one session serves no other. */
  session: string | null
  /** Whom the call says it is for, if anybody: what was approved for one user serves no other. */
  user: string | null
}

/** SHA-256 of the canonical JSON (RFC 8785) of everything that identifies a call, in lower-case hex. */
export const fingerprint = (input: FingerprintInput): string => sha256Hex(canonicalJson(input))
