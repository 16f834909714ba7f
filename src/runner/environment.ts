import { z } from 'zod'
import { isSecretName, maskUrlSecrets, maskValue } from '../domain/secrets.ts'

/** What reading an environment came to. */
export type EnvironmentReading<T> =
  | { readonly ok: true; readonly value: T }
  /** One line per error, fit to be shown to the operator. */
  | { readonly ok: false; readonly errors: readonly string[] }

/** The parts of the Node process that {@link parseEnvironment} uses. */
export interface EnvironmentHost {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly argv: readonly string[]
  print(text: string): void
  printError(text: string): void
  exit(code: number): never
}

const nodeProcess: EnvironmentHost = {
  env: process.env,
  argv: process.argv,
  print: (text) => process.stdout.write(text),
  printError: (text) => process.stderr.write(text),
  exit: (code) => process.exit(code),
}

/**
 * Parses the environment with one zod schema whose keys are variable names (`PONIX_NATS_URL`). All errors at once, each with
 * the variable's name, what was given (never of a secret) and what was expected, on stderr, exit code 2. With `--print-config`
 * among the arguments prints what is in force, secrets masked, and exits 0. An empty variable counts as one that is not set.
 */
export function parseEnvironment<S extends z.ZodObject>(
  service: string,
  schema: S,
  host: EnvironmentHost = nodeProcess,
): z.infer<S> {
  const reading = readEnvironment(schema, host.env)
  if (!reading.ok) {
    host.printError(reading.errors.map((error) => `${service}: ${error}\n`).join(''))
    return host.exit(2)
  }
  if (host.argv.includes('--print-config')) {
    host.print(describeEnvironment(schema, host.env))
    return host.exit(0)
  }
  return reading.value
}

/** The pure part of {@link parseEnvironment}. */
export function readEnvironment<S extends z.ZodObject>(
  schema: S,
  env: Readonly<Record<string, string | undefined>>,
): EnvironmentReading<z.infer<S>> {
  const given = setVariables(schema, env)
  const result = schema.safeParse(given)
  if (result.success) return { ok: true, value: result.data }
  return { ok: false, errors: result.error.issues.map((issue) => describeIssue(issue, given)) }
}

/** `NAME=value` for every variable of the schema, as given or as its default is written, secrets masked. */
export function describeEnvironment(schema: z.ZodObject, env: Readonly<Record<string, string | undefined>>): string {
  const given = setVariables(schema, env)
  return Object.entries(schema.shape)
    .map(([name, type]) => {
      const value = given[name] ?? writtenDefault(type)
      return value === undefined ? `# ${name} is not set\n` : `${name}=${maskValue(name, value)}\n`
    })
    .join('')
}

function setVariables(schema: z.ZodObject, env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const given: Record<string, string> = {}
  for (const name of Object.keys(schema.shape)) {
    const value = env[name]
    if (value !== undefined && value !== '') given[name] = value
  }
  return given
}

function describeIssue(issue: z.core.$ZodIssue, given: Readonly<Record<string, string>>): string {
  const name = String(issue.path[0] ?? 'the environment')
  const value = given[name]
  if (value === undefined && issue.code === 'invalid_type') return `${name} is not set; set it`
  const expected = maskUrlSecrets(issue.message)
  if (value === undefined) return `${name}: ${expected}`
  return isSecretName(name) ? `${name}: ${expected}` : `${name}=${JSON.stringify(maskUrlSecrets(value))}: ${expected}`
}

/** The default of a variable before any transformation, so that what is printed can be set again. */
function writtenDefault(type: unknown): string | undefined {
  const definition = definitionOf(type)
  if (definition === undefined) return undefined
  if ('defaultValue' in definition) return z.coerce.string().parse(definition['defaultValue'])
  return writtenDefault(definition['innerType'] ?? definition['in'])
}

function definitionOf(type: unknown): Record<string, unknown> | undefined {
  if (typeof type !== 'object' || type === null || !('def' in type)) return undefined
  const { def } = type
  return typeof def === 'object' && def !== null ? { ...def } : undefined
}
