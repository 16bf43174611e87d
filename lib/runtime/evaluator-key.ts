import { webhookKey } from '../core/webhook-signature.ts'

/** The key in an environment variable that a policy names to sign with; undefined when there is none. */
export const evaluatorKey = (variable: string, env: NodeJS.ProcessEnv = process.env): Buffer | undefined =>
  webhookKey(env[variable] ?? '')

/** Why the variable cannot be used, without its value; undefined when it can. */
export function evaluatorKeyFault(variable: string, env: NodeJS.ProcessEnv = process.env): string | undefined {
  if ((env[variable] ?? '') === '') return `the environment variable ${variable} is not set`
  return evaluatorKey(variable, env)
    ? undefined
    : `the environment variable ${variable} must be whsec_ and the base64 of 24 to 64 bytes`
}
