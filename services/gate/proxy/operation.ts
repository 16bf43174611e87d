import { Kind, type OperationDefinitionNode, parse } from 'graphql'
import { isJsonObject, type Json, type JsonObject } from '../../../lib/core/canonical-json.ts'

const MAX_TOKENS = 5_000
const MAX_OPERATIONS = 5
const MAX_FIELDS = 5

/** Names under which APIs of databases take a statement. */
const STATEMENTS = ['sql', 'statement', 'query', 'q', 'stmt', 'queryString', 'sqlText']
const SQL =
  /^\s*(?:--[^\n]*\n\s*|\/\*[\s\S]{0,500}?\*\/\s*)*(?:select|insert|update|delete|merge|replace|upsert|create|alter|drop|truncate|grant|revoke|with|call|exec(?:ute)?|copy|vacuum|begin|set|show|explain|describe)\b/i

/** What a body asks for, in the words that its readers look for first; empty where it says nothing of the kind. */
export function operationIn(body: Json | undefined, query: Readonly<Record<string, readonly string[]>>): JsonObject {
  const graphql = graphqlIn(body) ?? graphqlOf(query.query?.[0], query.operationName?.[0])
  if (graphql !== undefined) return { graphql }
  if (!isJsonObject(body)) return {}
  for (const name of STATEMENTS) {
    const text = Object.hasOwn(body, name) ? body[name] : undefined
    if (typeof text === 'string' && SQL.test(text)) return { sql: text.replace(/\s+/g, ' ').trim() }
  }
  return {}
}

/** One request, several at once, or the bare document (`application/graphql`). */
function graphqlIn(body: Json | undefined): string | undefined {
  if (Array.isArray(body)) {
    const all = body.slice(0, MAX_OPERATIONS).map(graphqlIn)
    if (all.length === 0 || all.includes(undefined)) return undefined
    return `${all.join('; ')}${body.length > MAX_OPERATIONS ? `; ${body.length - MAX_OPERATIONS} more` : ''}`
  }
  if (typeof body === 'string') return graphqlOf(body, undefined)
  return isJsonObject(body) ? graphqlOf(body.query, body.operationName) : undefined
}

/** `mutation Rename (updateUser)` of a GraphQL document (GraphQL, 2.3); undefined when it is none. */
function graphqlOf(query: Json | undefined, name: Json | undefined): string | undefined {
  if (typeof query !== 'string' || !/[{]/.test(query)) return undefined
  try {
    const { definitions } = parse(query, { noLocation: true, maxTokens: MAX_TOKENS })
    const operations = definitions.filter(
      (definition): definition is OperationDefinitionNode => definition.kind === Kind.OPERATION_DEFINITION,
    )
    const meant = operations.filter((operation) => typeof name !== 'string' || operation.name?.value === name)
    const told = (meant.length === 0 ? operations : meant).slice(0, MAX_OPERATIONS)
    return told.length === 0 ? undefined : told.map(inWords).join('; ')
  } catch {
    return undefined
  }
}

function inWords({ operation, name, selectionSet }: OperationDefinitionNode): string {
  const fields = selectionSet.selections.slice(0, MAX_FIELDS).map((each) => {
    if (each.kind === Kind.INLINE_FRAGMENT) return '...'
    return each.kind === Kind.FIELD ? each.name.value : `...${each.name.value}`
  })
  if (selectionSet.selections.length > MAX_FIELDS) fields.push('…')
  return `${operation}${name === undefined ? '' : ` ${name.value}`} (${fields.join(', ')})`
}
