import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import type { ClickHouse } from '../../src/clickhouse/connection.ts'
import { messageOf } from '../../src/domain/errors.ts'
import type { MqttPublisher } from '../../src/mqtt/client.ts'
import type { Logger } from '../../src/runner/logger.ts'
import type { DemoEnvironment } from './environment.ts'
import type { Inventory } from './inventory.ts'

export interface DemoParts {
  readonly inventory: Inventory
  readonly publisher: MqttPublisher
  readonly clickhouse: ClickHouse
  readonly logger: Logger
  /** Between two messages of one device. */
  readonly intervalMs: number
  /** A line for people. */
  readonly print: (line: string) => void
  /** Shown with the first row. */
  readonly summary: string
}

const WATCH_PERIOD_MS = 2_000
const noise = (): number => Math.random() * 2 - 1

/** Speaks as the devices do until the signal aborts. A message the broker does not take is said once and left out. */
export async function speak(
  { inventory, publisher, intervalMs, logger }: Pick<DemoParts, 'inventory' | 'publisher' | 'intervalMs' | 'logger'>,
  signal: AbortSignal,
): Promise<void> {
  const pauseMs = intervalMs / inventory.devices.length
  let failing = false
  for (let turn = 0; !signal.aborted; turn += 1) {
    const device = inventory.devices[turn % inventory.devices.length]
    if (device === undefined) return
    try {
      const topic = `${inventory.organizationId}/${device.deviceId}`
      await publisher.publish(topic, device.demo.measure(new Date(), noise))
      failing = false
    } catch (error) {
      if (!failing) logger.warn(`the broker did not take a message: ${messageOf(error)}`)
      failing = true
    }
    await sleep(pauseMs, undefined, { signal }).catch(() => undefined)
  }
}

/** Says what arrives in ClickHouse until the signal aborts; the summary comes with the first new row. */
export async function watch(parts: DemoParts, signal: AbortSignal): Promise<void> {
  let before: Arrivals | null = null
  let summarised = false
  while (!signal.aborted) {
    try {
      const arrivals = await readArrivals(parts.clickhouse, parts.inventory, signal)
      const fresh = before === null ? 0 : arrivals.total - before.total
      before = arrivals
      if (fresh > 0 && !summarised) parts.print(parts.summary)
      summarised ||= fresh > 0
      if (fresh > 0 && arrivals.newest) parts.print(line(fresh, arrivals.total, arrivals.newest))
    } catch (error) {
      if (!signal.aborted) parts.logger.warn(`cannot read from ClickHouse: ${messageOf(error)}`)
    }
    await sleep(WATCH_PERIOD_MS, undefined, { signal }).catch(() => undefined)
  }
}

function line(fresh: number, total: number, newest: { readonly name: string; readonly data: string }): string {
  return `${fresh} new rows, ${total} in all; ${newest.name}: ${newest.data}`
}

/** What ClickHouse has of the demo's devices. */
export interface Arrivals {
  readonly total: number
  readonly newest: { readonly name: string; readonly data: string } | null
}

const answer = z.array(
  z.object({ total: z.coerce.number(), end_device_id: z.string(), data: z.record(z.string(), z.unknown()) }),
)

const QUERY = `
  SELECT count() AS total, argMax(end_device_id, occurred_at) AS end_device_id, argMax(data, occurred_at) AS data
  FROM processed_envelopes
  WHERE organization_id = {organization: String}
  HAVING total > 0`

/** Counts the rows of the demo's organization and brings the newest one. */
async function readArrivals(
  clickhouse: ClickHouse,
  { organizationId, devices }: Inventory,
  signal: AbortSignal,
): Promise<Arrivals> {
  const result = await clickhouse.client.query({
    query: QUERY,
    query_params: { organization: organizationId },
    format: 'JSONEachRow',
    abort_signal: signal,
  })
  const [row] = answer.parse(await result.json())
  if (row === undefined) return { total: 0, newest: null }
  const name = devices.find(({ deviceId }) => deviceId === row.end_device_id)?.demo.name ?? row.end_device_id
  return { total: row.total, newest: { name, data: JSON.stringify(row.data) } }
}

/** The password of the embedded servers, known to everybody; any other is nobody's to see. */
const EMBEDDED_PASSWORD = 'ponix'

/** Where everything is, and what to paste to see it: shown once, when the first rows are there. */
export function summary(env: DemoEnvironment, { organizationId, devices }: Inventory): string {
  const mqtt = new URL(env.PONIX_DEMO_MQTT_URL)
  const nats = new URL(env.PONIX_NATS_URL)
  const first = devices[0]
  const lines = [
    '',
    'Data flows: devices → MQTT → gateway-orchestrator → NATS → analytics → ClickHouse',
    '',
    `  gRPC        ${env.PONIX_GRPC_HOST}:${env.PONIX_GRPC_PORT}  organizations, end devices, gateways; reflection is on`,
    `  MQTT        ${mqtt.host}  topic {organization_id}/{end_device_id}`,
    `  NATS        ${nats.host}  streams raw_envelopes, processed_envelopes, gateways, dead_letters`,
    `  PostgreSQL  ${env.PONIX_POSTGRES_HOST}:${env.PONIX_POSTGRES_PORT}`,
    `  ClickHouse  ${env.PONIX_CLICKHOUSE_URL}  table processed_envelopes`,
    '',
    '  The newest rows:',
    `    ${queryCommand(env)}`,
    ...(first ? ['', `  Speak as the ${first.demo.name} (25.5 degrees, mosquitto-clients):`] : []),
    ...(first ? [`    ${publishCommand(mqtt, `${organizationId}/${first.deviceId}`)}`] : []),
    '',
    '  Ctrl-C stops everything.',
    '',
  ]
  return lines.join('\n')
}

function queryCommand(env: DemoEnvironment): string {
  const password =
    env.PONIX_CLICKHOUSE_PASSWORD === EMBEDDED_PASSWORD ? EMBEDDED_PASSWORD : '"$PONIX_CLICKHOUSE_PASSWORD"'
  const url = new URL(env.PONIX_CLICKHOUSE_URL)
  url.searchParams.set('database', env.PONIX_CLICKHOUSE_DATABASE)
  const query = 'SELECT occurred_at, end_device_id, data FROM processed_envelopes ORDER BY occurred_at DESC LIMIT 10'
  return `curl -s -u ${env.PONIX_CLICKHOUSE_USERNAME}:${password} '${url.href}' -d '${query} FORMAT PrettyCompact'`
}

function publishCommand(mqtt: URL, topic: string): string {
  return `printf '\\000\\147\\000\\377' | mosquitto_pub -h ${mqtt.hostname} -p ${mqtt.port || 1883} -q 1 -t ${topic} -s`
}
