/** A message of a server, as UTF-8. */
export const MAX_MESSAGE_BYTES = 16 * 1024 * 1024
/** What waits for a reader that is slow, or not there. */
export const MAX_WAITING_BYTES = 2 * MAX_MESSAGE_BYTES
/** What a server says beside a status that refuses. */
export const MAX_REFUSAL_BYTES = 64 * 1024
