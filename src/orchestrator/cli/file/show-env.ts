import { relative } from 'node:path'
import { UserError } from '../../config/errors.ts'
import { loadConfig } from '../../config/load.ts'
import { nameHint } from '../../config/nearest-name.ts'
import { redact, SecretValues } from '../../config/redact.ts'
import type { Environment, VariableSource } from '../../config/resolve/scope.ts'
import type { ResolvedConfig, ResolvedProcess } from '../../config/resolved.ts'
import { isSecretName } from '../../config/secret-names.ts'
import { type FileOptions, toLoadOptions } from '../options.ts'

export interface ShownVariable {
  readonly name: string
  /** Without secrets. */
  readonly value: string
  readonly source: VariableSource['type']
  /** The absolute path of the `env_file`. */
  readonly path?: string
}

/** Prints the environment that a process will get. Throws a UserError for an unknown name. */
export function showEnv(typed: FileOptions, name: string, json: boolean): void {
  const config = loadConfig(toLoadOptions(typed))
  const { name: instance, secretNames } = instanceNamed(name, config)
  const variables = shownVariables(config.variables.get(instance)?.environment ?? new Map(), secretNames)
  process.stdout.write(json ? `${JSON.stringify(variables, null, 2)}\n` : renderVariables(variables))
}

function instanceNamed(name: string, { processes }: ResolvedConfig): ResolvedProcess {
  const found = processes.find((one) => one.name === name)
  if (found !== undefined && found.problem !== null) {
    throw new UserError(`--show-env: "${name}" cannot be started: ${found.problem}`)
  }
  if (found !== undefined) return found
  const first = processes.find(({ configName }) => configName === name)
  if (first !== undefined) {
    throw new UserError(`--show-env "${name}": it has replicas; name one of them, such as "${first.name}"`)
  }
  const names = processes.map((one) => one.name)
  const hint = nameHint(name, 'the processes are', names)
  throw new UserError(`--show-env "${redact(name)}": there is no such process; ${hint}`)
}

/** Returns the variables by name, with secrets masked, also where a value contains the value of a secret variable. */
export function shownVariables(environment: Environment, secretNames: readonly string[]): readonly ShownVariable[] {
  const entries = [...environment].sort(([a], [b]) => (a < b ? -1 : 1))
  const env = Object.fromEntries(entries.map(([name, { value }]) => [name, value]))
  const secrets = new SecretValues({ env, secretNames })
  const mask = (name: string, value: string): string => {
    if (value === '') return ''
    if (isSecretName(name, secretNames) || secrets.has(value)) return '***'
    return redact(secrets.mask(value), secretNames)
  }
  return entries.map(
    ([
      name,
      {
        value,
        source: { type, ...rest },
      },
    ]) => ({
      name,
      value: mask(name, value),
      source: type,
      ...rest,
    }),
  )
}

const titles: Readonly<Record<VariableSource['type'], string>> = {
  inherited: 'inherited',
  orchestrator: 'orchestrator',
  file_env: 'env of the file',
  file_env_file: 'env_file of the file:',
  process_env: 'env',
  process_env_file: 'env_file:',
}

/** Renders a line for each variable: its origin, then NAME=value. */
export function renderVariables(variables: readonly ShownVariable[]): string {
  const origins = variables.map(({ source, path }) => {
    return path === undefined ? titles[source] : `${titles[source]} ${relative(process.cwd(), path)}`
  })
  const width = Math.max(0, ...origins.map(({ length }) => length))
  const lines = variables.map(({ name, value }, index) => {
    return `${(origins[index] ?? '').padEnd(width)}  ${name}=${onOneLine(value)}`
  })
  return lines.map((line) => `${line}\n`).join('')
}

/** Quotes a value with line breaks or other control characters. */
function onOneLine(value: string): string {
  return /\p{Cc}/u.test(value) ? JSON.stringify(value) : value
}
