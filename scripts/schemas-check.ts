import { published, schemas } from '../schemas/index.ts'
import { checkSchemas } from './schema-rules.ts'

/** Prints a line for each check of schemas/; exit code 1 when one fails. */
const checks = checkSchemas({ current: schemas, published })
for (const { schema, version, rule, problems } of checks) {
  const subject = version === null ? schema : `${schema} (against ${version})`
  if (problems.length === 0) console.log(`ok   ${subject}: ${rule}`)
  for (const problem of problems) console.error(`FAIL ${subject}: ${rule}: ${problem}`)
}
if (checks.some(({ problems }) => problems.length > 0)) process.exitCode = 1
