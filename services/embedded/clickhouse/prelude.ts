import { ClickHouseException } from './exception.ts'
import type { Pair } from './query-request.ts'

/** What has to hold on a connection before a query runs on it. */
export interface Circumstances {
  readonly database: string | undefined
  readonly settings: readonly Pair[]
  readonly parameters: readonly Pair[]
}

/** The statements that bring the circumstances about; empty when there are none. Throws a ClickHouseException. */
export function preludeSql(circumstances: Circumstances): string {
  const assignments = [
    ...circumstances.settings.map(([name, value]) => `${settingName(name)} = ${literal(value)}`),
    ...circumstances.parameters.map(([name, value]) => `param_${parameterName(name)} = ${literal(value)}`),
  ]
  const use = circumstances.database === undefined ? [] : [`USE ${identifier(circumstances.database)}`]
  const set = assignments.length === 0 ? [] : [`SET ${assignments.join(', ')}`]
  return [...use, ...set].join(';\n')
}

/** Text as a string literal of SQL. */
export function literal(value: string): string {
  return `'${value
    .replaceAll('\\', '\\\\')
    .replaceAll("'", String.raw`\'`)
    .replaceAll('\n', String.raw`\n`)}'`
}

/** A name, whatever its characters, as SQL. */
export function identifier(name: string): string {
  return `\`${name.replaceAll('\\', '\\\\').replaceAll('`', '\\`')}\``
}

/** A name that no setting can have is as unknown as one that none has. */
function settingName(name: string): string {
  if (/^[A-Za-z_][\w.]*$/.test(name)) return name
  throw new ClickHouseException(115, 'UNKNOWN_SETTING', `Unknown setting '${name}'`)
}

function parameterName(name: string): string {
  if (/^\w+$/.test(name)) return name
  throw new ClickHouseException(36, 'BAD_ARGUMENTS', `'${name}' cannot be the name of a query parameter`)
}
