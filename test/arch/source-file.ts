import { parseSync } from 'vite'

/** What the rules look at in one file of TypeScript. */
export interface SourceFile {
  /** Path from the root of the repository. */
  path: string
  imports: Import[]
  /** Lines that read `process.env`, export a default, or declare an `enum`. */
  environment: number[]
  defaultExports: number[]
  enums: number[]
}

export interface Import {
  line: number
  /** As it is written, or null when it is computed and nobody can tell. */
  specifier: string | null
}

interface Node {
  type: string
  start: number
  [key: string]: unknown
}

/** Reads every kind of import: static, type-only, re-export, `import()`, `import('…').Type`, `require`. */
export function readSource(path: string, text: string): SourceFile {
  const { program, errors } = parseSync(path, text)
  if (errors.length > 0) throw new Error(`${path}: ${errors[0]?.message}`)
  const file: SourceFile = { path, imports: [], environment: [], defaultExports: [], enums: [] }
  const lineOf = (node: Node) => text.slice(0, node.start).split('\n').length

  const visit = (node: Node): void => {
    const source = importedBy(node)
    if (source) file.imports.push({ line: lineOf(node), specifier: constantText(source) })
    if (readsEnvironment(node)) file.environment.push(lineOf(node))
    if (exportsDefault(node)) file.defaultExports.push(lineOf(node))
    if (node.type === 'TSEnumDeclaration') file.enums.push(lineOf(node))
    for (const child of Object.values(node).flat()) if (isNode(child)) visit(child)
  }
  visit(program as unknown as Node)
  return file
}

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && typeof (value as Node).type === 'string'

/** The expression that names the module, if the node imports one. */
function importedBy(node: Node): Node | undefined {
  switch (node.type) {
    case 'ImportDeclaration':
    case 'ExportAllDeclaration':
    case 'ExportNamedDeclaration':
    case 'ImportExpression':
    case 'TSImportType':
      return (node.source as Node | null) ?? undefined
    case 'TSExternalModuleReference':
      return node.expression as Node
    case 'CallExpression':
      return isNamed(node.callee, 'require') ? (node.arguments as Node[])[0] : undefined
    default:
      return undefined
  }
}

function constantText(node: Node): string | null {
  if (node.type === 'Literal' && typeof node.value === 'string') return node.value
  const quasis = node.type === 'TemplateLiteral' ? (node.quasis as { value: { cooked: string } }[]) : []
  return quasis.length === 1 ? quasis[0]!.value.cooked : null
}

const isNamed = (node: unknown, name: string): boolean =>
  isNode(node) && node.type === 'Identifier' && node.name === name

/** True for `name` and `globalThis.name`. */
const isGlobal = (node: unknown, name: string): boolean =>
  isNamed(node, name) ||
  (isNode(node) && node.type === 'MemberExpression' && isNamed(node.object, 'globalThis') && propertyOf(node) === name)

function propertyOf(node: Node): string | null {
  const key = (node.property ?? node.key) as Node
  return node.computed
    ? constantText(key)
    : isNode(key) && key.type === 'Identifier'
      ? String(key.name)
      : constantText(key)
}

/** `process.env`, `process['env']`, `const { env } = process`, `import { env } from 'node:process'`. */
function readsEnvironment(node: Node): boolean {
  if (node.type === 'MemberExpression') return isGlobal(node.object, 'process') && propertyOf(node) === 'env'
  if (node.type === 'VariableDeclarator') return takesEnv(node.id) && isGlobal(node.init, 'process')
  if (node.type === 'AssignmentPattern' || node.type === 'AssignmentExpression')
    return takesEnv(node.left) && isGlobal(node.right, 'process')
  if (node.type === 'ImportDeclaration')
    return (
      ['node:process', 'process'].includes(constantText(node.source as Node) ?? '') &&
      (node.specifiers as Node[]).some(({ imported }) => isNamed(imported, 'env'))
    )
  return false
}

/** `{ env }` and `{ ...rest }` */
const takesEnv = (pattern: unknown): boolean =>
  isNode(pattern) &&
  pattern.type === 'ObjectPattern' &&
  (pattern.properties as Node[]).some((each) => each.type === 'RestElement' || propertyOf(each) === 'env')

/** `export default …`, `export { x as default }`, `export { default } from '…'`. */
const exportsDefault = (node: Node): boolean =>
  node.type === 'ExportDefaultDeclaration' ||
  node.type === 'TSExportAssignment' ||
  (node.type === 'ExportSpecifier' && isNamed(node.exported, 'default')) ||
  (node.type === 'ExportAllDeclaration' && isNamed(node.exported, 'default'))
