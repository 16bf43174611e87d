/** A data directory or a file in it cannot be used. The message says why, and is meant for the person who started us. */
export class StorageError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'StorageError'
  }
}

export const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** True for an error of the operating system with this code. */
export const isCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code
