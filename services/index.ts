/** The package's main entry: run Countersign inside a Node process of your own. */
export { CountersignError, type ErrorCode } from '../lib/core/errors.ts'
export { ConfigError } from '../lib/runtime/config.ts'
export { OwnerFileError } from './owner.ts'
export { startUp, type Up, type UpOptions } from './up.ts'
