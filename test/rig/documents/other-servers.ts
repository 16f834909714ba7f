import { expect } from 'vitest'
import { Graph } from '../orchestrator/graph.ts'
import { startClickHouse, startMqtt, startNats, startPostgres } from '../servers.ts'
import { shellWords } from './document-commands.ts'

/** Runs `A=1 B=2 npm start -- --disable x` with other servers, and with the variables and flags of the table in docs/servers.md. */
export async function startWithOtherServers(command: string, page: string): Promise<void> {
  const [postgres, nats, clickhouse, mqtt] = await Promise.all([
    startPostgres(),
    startNats(),
    startClickHouse(),
    startMqtt(),
  ])
  const values: Readonly<Record<string, string>> = {
    PONIX_POSTGRES_HOST: postgres.host,
    PONIX_POSTGRES_PORT: String(postgres.port),
    PONIX_POSTGRES_DATABASE: postgres.database,
    PONIX_POSTGRES_USERNAME: postgres.username,
    PONIX_POSTGRES_PASSWORD: postgres.password,
    PONIX_NATS_URL: nats.url,
    PONIX_CLICKHOUSE_URL: clickhouse.url,
    PONIX_CLICKHOUSE_DATABASE: clickhouse.database,
    PONIX_CLICKHOUSE_USERNAME: clickhouse.username,
    PONIX_CLICKHOUSE_PASSWORD: clickhouse.password,
    'HOST:PORT': `${mqtt.host}:${mqtt.port}`,
  }
  const rows = [...page.matchAll(/^\| `(--disable \w+)` +\| (.*) \|$/gm)]
  expect(new Set(rows.map(([, flag]) => flag))).toEqual(
    new Set(['clickhouse', 'mqtt', 'nats', 'postgres'].map((name) => `--disable ${name}`)),
  )
  const words = shellWords(command)
  const assigned = words.filter((word) => /^\w+=/.test(word)).map((word) => word.split('=')[0] ?? '')
  const named = rows.flatMap(([, , cell = '']) => [...cell.matchAll(/PONIX_\w+/g)].map(([name]) => name))
  expect(named).toEqual(expect.arrayContaining(assigned))
  const typed = words.slice(words.indexOf('--') + 1).join(' ')
  const flags = rows.map(([, flag = '', cell = '']) => `${flag} ${/--mqtt-broker [^`]+/.exec(cell)?.[0] ?? ''}`)
  expect(flags.map((flag) => flag.trim())).toContain(typed)
  const args = flags.flatMap((flag) => flag.trim().split(' ')).map((word) => values[word] ?? word)
  const env = Object.fromEntries(named.map((name) => [name, values[name] ?? 'unknown to the test']))
  const other = await Graph.start({ command: ['npm', 'start', '--'], args, env })
  try {
    await other.line(/Data flows/)
    expect(other.output).not.toMatch(/^\[(postgres|nats|clickhouse|mqtt)\]/m)
  } finally {
    await other[Symbol.asyncDispose]()
    await Promise.all([postgres, nats, clickhouse, mqtt].map((server) => server[Symbol.asyncDispose]()))
  }
}
