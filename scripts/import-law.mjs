// The import law: the rooms that each room may import. A rule for oxlint, because it must cover every kind of import (`import`,
// `export … from`, `import()`, `import('…').T`, `require`) and resolve relative paths.
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const projectRoot = fileURLToPath(new URL('..', import.meta.url))
const adapters = ['postgres', 'nats', 'clickhouse', 'mqtt', 'codecs', 'proto']
const orchestratorLayers = ['config', 'supervisor', 'control', 'export', 'triggers', 'cli']

/**
 * The other rooms that a room may import. A room is a layer of the orchestrator, a folder of src/, `services/x` or a top-level
 * folder.
 */
const allowedRooms = {
  'orchestrator/config': [],
  'orchestrator/supervisor': ['orchestrator/config'],
  'orchestrator/control': ['orchestrator/supervisor', 'orchestrator/config'],
  'orchestrator/export': ['orchestrator/supervisor', 'orchestrator/config'],
  'orchestrator/triggers': ['orchestrator/supervisor', 'orchestrator/config'],
  'orchestrator/cli': ['control', 'export', 'triggers', 'supervisor', 'config'].map((layer) => `orchestrator/${layer}`),
  domain: [],
  runner: ['domain'],
  ...Object.fromEntries(adapters.map((adapter) => [adapter, ['domain', 'runner']])),
  service: ['domain', 'runner', ...adapters],
}

const reasons = {
  ...Object.fromEntries(
    orchestratorLayers.map((layer) => [
      `orchestrator/${layer}`,
      'inside src/orchestrator imports go downwards only: cli → control, export, triggers → supervisor → config; no other folder of the project is imported',
    ]),
  ),
  domain: 'src/domain imports itself and zod',
  runner: 'src/runner imports src/domain only',
  service: 'a service imports folders of src except orchestrator, and no other service',
  ...Object.fromEntries(adapters.map((name) => [name, 'an adapter imports domain and runner, never another adapter'])),
}

/** Packages that only one room is allowed to import. */
const drivers = [
  [/^pg$/, 'postgres'],
  [/^@nats-io\//, 'nats'],
  [/^@clickhouse\/client/, 'clickhouse'],
  [/^mqtt(-packet)?$/, 'mqtt'],
  [/^@bufbuild\/cel(\/|$)/, 'codecs'],
  [/^@jitl\//, 'codecs'],
]

const domainPackages = ['zod']
const testPackages = ['vitest', 'fast-check']

/** Returns the room of a path below the root. */
function roomOf(path) {
  const [top, second, third] = path.split('/')
  if (top === 'src' && second === 'orchestrator')
    return { kind: `orchestrator/${third}`, name: `orchestrator/${third}` }
  if (top === 'src' && second !== undefined) return { kind: second, name: second }
  if (top === 'services' && second !== undefined) return { kind: 'service', name: `services/${second}` }
  return { kind: top, name: top }
}

/** Returns the rule that an import breaks, or undefined. `from` is relative to the root. */
function breach(from, specifier) {
  const room = roomOf(from)
  const isTest = from.endsWith('.test.ts')
  if (!specifier.startsWith('.')) return packageBreach(room, isTest, specifier)
  const target = join(dirname(from), specifier)
  const other = roomOf(target)
  if (other.name === room.name || allowedRooms[room.kind] === undefined) return undefined
  if (isTest && target.startsWith('test/')) return undefined
  // The lock of the set-up runs before anything is built, so it cannot be in a room.
  if (room.name === 'services/embedded' && target === 'scripts/lock.mjs') return undefined
  return allowedRooms[room.kind].includes(other.kind) ? undefined : reasons[room.kind]
}

function packageBreach(room, isTest, specifier) {
  if (isTest && testPackages.includes(specifier)) return undefined
  if (room.kind === 'domain' && !domainPackages.includes(specifier)) return reasons.domain
  if (isTest || allowedRooms[room.kind] === undefined) return undefined
  const [, owner] = drivers.find(([pattern]) => pattern.test(specifier)) ?? []
  if (owner === undefined || owner === room.name) return undefined
  return `${specifier} is imported by src/${owner} only`
}

const rule = {
  meta: { type: 'problem' },
  create(context) {
    const from = relative(projectRoot, context.filename).replaceAll('\\', '/')
    const check = (source) => {
      if (source?.type !== 'Literal' || typeof source.value !== 'string') return
      const message = breach(from, source.value)
      if (message !== undefined) context.report({ node: source, message })
    }
    return {
      ImportDeclaration: (node) => check(node.source),
      ExportNamedDeclaration: (node) => check(node.source),
      ExportAllDeclaration: (node) => check(node.source),
      ImportExpression: (node) => check(node.source),
      TSImportType: (node) => check(node.source ?? node.argument),
      CallExpression(node) {
        if (node.callee.type === 'Identifier' && node.callee.name === 'require') check(node.arguments[0])
      },
    }
  },
}

export default { meta: { name: 'ponix' }, rules: { 'import-law': rule } }
