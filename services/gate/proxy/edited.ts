import type { Json } from '../../../lib/core/canonical-json.ts'
import { mergePatch } from '../../../lib/core/merge-patch.ts'
import type { HeaderList } from './headers.ts'
import type { HttpCall } from './http-action.ts'

/** Say something of the body's bytes, which are others now. */
const OF_THE_BYTES = new Set(['content-length', 'content-md5', 'digest', 'content-digest', 'repr-digest'])

/**
 * The call with the changes of an approver, a JSON merge patch (RFC 7396) on its body. Undefined for a body that is no
 * JSON object or list as it stands, or was not read whole.
 */
export function edited(
  { body }: Pick<HttpCall, 'body'>,
  edits: string,
  headers: HeaderList,
): { body: Buffer; headers: HeaderList } | undefined {
  if (!body.isJson || body.judged.state !== 'whole') return undefined
  const bytes = Buffer.from(JSON.stringify(mergePatch(body.judged.value, JSON.parse(edits) as Json)))
  const kept: HeaderList = []
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at] ?? ''
    if (!OF_THE_BYTES.has(name.toLowerCase())) kept.push(name, headers[at + 1] ?? '')
  }
  return { body: bytes, headers: [...kept, 'Content-Length', String(bytes.length)] }
}
