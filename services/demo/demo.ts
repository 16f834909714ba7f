import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import type { ClickHouse } from '../../src/clickhouse/connection.ts'
import { messageOf } from '../../src/domain/errors.ts'
import type { MqttPublisher } from '../../src/mqtt/client.ts'
import type { Logger } from '../../src/runner/logger.ts'
import { chirpStackMessage } from './chirpstack.ts'
import type { DemoEnvironment } from './environment.ts'
import type { Inventory } from './inventory.ts'

export interface DemoParts {
  readonly inventory: Inventory
  readonly publisher: MqttPublisher
  readonly clickhouse: ClickHouse
  readonly logger: Logger
  readonly intervalMs: number
  readonly print: (line: string) => void
  /** Text to print with the first row. */
  readonly summary: string
}

const WATCH_PERIOD_MS = 2_000
const noise = (): number => Math.random() * 2 - 1

/** Publishes messages of all devices in turn until the signal aborts. Skips messages that fail and logs the first failure. */
export async function publishMessages(
  { inventory, publisher, intervalMs, logger }: Pick<DemoParts, 'inventory' | 'publisher' | 'intervalMs' | 'logger'>,
  signal: AbortSignal,
): Promise<void> {
  const { organizationId, devices } = inventory
  let failing = false
  for (let turn = 0; !signal.aborted; turn += 1) {
    const device = devices[turn % devices.length]
    if (device === undefined) return
    try {
      const { topic, body } = publicationOf(organizationId, device, Math.floor(turn / devices.length))
      await publisher.publish(topic, body)
      failing = false
    } catch (error) {
      if (!failing) logger.warn(`cannot publish to the broker: ${messageOf(error)}`)
      failing = true
    }
    await sleep(intervalMs / devices.length, undefined, { signal }).catch(() => undefined)
  }
}

/** Returns the message of a device: its payload, or for a LoRaWAN device the uplink `fCnt` as ChirpStack publishes it. */
function publicationOf(organizationId: string, { deviceId, demo }: Inventory['devices'][number], fCnt: number) {
  const at = new Date()
  const payload = demo.measure(at, noise)
  const { devEui, name: deviceName } = demo
  if (devEui === undefined) return { topic: `${organizationId}/${deviceId}`, body: payload }
  return chirpStackMessage({ devEui, deviceName, fCnt, payload, at, noise })
}

/** Prints the rows that arrive in ClickHouse until the signal aborts; prints the summary with the first new row. */
export async function reportRows(parts: DemoParts, signal: AbortSignal): Promise<void> {
  const { inventory, clickhouse, logger, print, summary } = parts
  let before: number | null = null
  let summarized = false
  for (let report = 0; !signal.aborted; report += 1) {
    try {
      const { total, newest } = await readRows(clickhouse, inventory, report, signal)
      const added = total - (before ?? total)
      before = total
      if (added > 0 && !summarized) print(summary)
      summarized ||= added > 0
      if (added > 0) print(`${added} new rows, ${total} in total; ${newest}`)
    } catch (error) {
      if (!signal.aborted) logger.warn(`cannot read from ClickHouse: ${messageOf(error)}`)
    }
    await sleep(WATCH_PERIOD_MS, undefined, { signal }).catch(() => undefined)
  }
}

const rows = z.array(z.object({ total: z.coerce.number(), data: z.record(z.string(), z.unknown()) }))

const QUERY = `
  SELECT count() AS total, argMaxIf(data, occurred_at, end_device_id = {device: String}) AS data
  FROM processed_envelopes
  WHERE organization_id = {organization: String}
  HAVING total > 0`

/** Returns the number of rows of the demo's organization, and as text the newest row of a device, of each in turn. */
async function readRows(
  clickhouse: ClickHouse,
  { organizationId, devices }: Inventory,
  report: number,
  signal: AbortSignal,
): Promise<{ readonly total: number; readonly newest: string }> {
  const device = devices[report % devices.length]
  const result = await clickhouse.client.query({
    query: QUERY,
    query_params: { organization: organizationId, device: device?.deviceId ?? '' },
    format: 'JSONEachRow',
    abort_signal: signal,
  })
  const [row] = rows.parse(await result.json())
  if (row === undefined) return { total: 0, newest: '' }
  return { total: row.total, newest: `${device?.demo.name}: ${JSON.stringify(row.data)}` }
}

/** The public password of the embedded servers; any other password is not printed. */
const EMBEDDED_PASSWORD = 'ponix'

/** Returns the text with the addresses of all servers and with commands to try. */
export function summary(env: DemoEnvironment, { organizationId, devices }: Inventory): string {
  const mqtt = new URL(env.PONIX_DEMO_MQTT_URL)
  const nats = new URL(env.PONIX_NATS_URL)
  const device = devices[0]
  return [
    '',
    'Data flows: devices → MQTT → gateway-orchestrator → NATS → analytics → ClickHouse',
    '',
    `  gRPC        ${env.PONIX_GRPC_HOST}:${env.PONIX_GRPC_PORT}  organizations, end devices, gateways; reflection is on`,
    `  MQTT        ${mqtt.host}  topic {organization_id}/{end_device_id}`,
    `  NATS        ${nats.host}  streams raw_envelopes, processed_envelopes, gateways, dead_letters`,
    `  PostgreSQL  ${env.PONIX_POSTGRES_HOST}:${env.PONIX_POSTGRES_PORT}`,
    `  ClickHouse  ${env.PONIX_CLICKHOUSE_URL}  table processed_envelopes`,
    '',
    '  Query the newest rows:',
    `    ${queryCommand(env)}`,
    ...(device === undefined
      ? []
      : [
          '',
          `  Publish 25.5 degrees as device ${device.demo.name} (needs mosquitto-clients):`,
          `    ${publishCommand(mqtt, `${organizationId}/${device.deviceId}`)}`,
        ]),
    '',
    '  Press Ctrl-C to stop.',
    '',
  ].join('\n')
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
