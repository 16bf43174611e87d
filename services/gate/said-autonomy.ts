/**
 * The autonomy level that a `Countersign-Autonomy` header says the session has, or null. It goes into the action's
 * context, where it can only make the rules stricter: a word that nobody knows is the tightest level.
 */
export const saidAutonomy = (header: string | string[] | undefined): string | null =>
  header === undefined ? null : String(header)
