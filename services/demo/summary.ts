import type { DemoEnvironment } from './environment.ts'
import type { Inventory } from './inventory.ts'

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
