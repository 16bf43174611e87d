import type { Place } from './scan.ts'

/** What a detector saw, in words that hold nothing of the value itself, and where. */
export interface Sighting {
  message: string
  path: Place | null
}
