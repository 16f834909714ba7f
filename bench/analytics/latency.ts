import { setTimeout as sleep } from 'node:timers/promises'
import { connectAsync } from 'mqtt'
import { type Figure, quantile } from '../report/figures.ts'
import { sensorPayload, type PipelineStage, ORGANIZATION } from '../rig/pipeline-stage.ts'

const PER_SECOND = 100
const SECONDS = 20
const WARM_UP_SECONDS = 3
const DEVICES = 10
const P99_MS = 1500
const POLL_INTERVAL_MS = 20

/** Measures M-12: the latency from publishing an MQTT message to a visible row in ClickHouse, at 100 messages per second. */
export async function measureLatency(stage: PipelineStage): Promise<readonly Figure[]> {
  console.error(`bench: M-12, ${WARM_UP_SECONDS + SECONDS} s`)
  await stage.createDevices('latency-', DEVICES, ORGANIZATION, 'cayenne_lpp_decode(input)')
  await stage.createGateway()
  const services = [stage.start('analytics'), stage.start('gateway-orchestrator')]
  await Promise.all(services.map((service) => service.logLine('"ready"')))
  const published = new Map<number, number>()
  const total = (WARM_UP_SECONDS + SECONDS) * PER_SECOND
  const [seen] = await Promise.all([pollRows(stage, total), publish(stage, published, total)])
  for (const service of services) await service.stop()
  await stage.empty()
  const latencies = [...published]
    .filter(([number]) => number >= WARM_UP_SECONDS * PER_SECOND)
    .map(([number, at]) => (seen.get(number) ?? Infinity) - at)
  const figure = (part: string, ours: number, goal: Figure['goal']): Figure => ({
    id: 'M-12',
    what: `MQTT publish → visible row, ${PER_SECOND}/s, ${part}`,
    unit: 'ms',
    ours,
    goal,
  })
  return [
    figure('p50', quantile(latencies, 0.5), { type: 'none' }),
    figure('p99', quantile(latencies, 0.99), { type: 'value', atMost: P99_MS }),
  ]
}

async function publish(stage: PipelineStage, published: Map<number, number>, total: number): Promise<void> {
  const client = await connectAsync(stage.mqttUrl)
  await waitForSubscription(stage, (payload) => client.publishAsync(`${ORGANIZATION}/latency-0`, payload, { qos: 1 }))
  const start = performance.now()
  const acknowledged: Promise<unknown>[] = []
  for (let number = 0; number < total; number += 1) {
    const waitMs = start + (number * 1000) / PER_SECOND - performance.now()
    if (waitMs > 0) await sleep(waitMs)
    published.set(number, performance.now())
    const topic = `${ORGANIZATION}/latency-${number % DEVICES}`
    acknowledged.push(client.publishAsync(topic, sensorPayload(number), { qos: 1 }))
  }
  await Promise.all(acknowledged)
  await client.endAsync()
}

/** Resolves when the gateway has subscribed, which is shortly after the service is ready. */
async function waitForSubscription(stage: PipelineStage, send: (payload: Buffer) => Promise<unknown>): Promise<void> {
  const { streams } = stage.nats.manager
  while ((await streams.info('raw_envelopes')).state.messages === 0) {
    // The payload's number is outside the measured range, so the benchmark ignores this message.
    await send(sensorPayload(2 ** 31))
    await sleep(50)
  }
}

/** Polls for rows; returns by number the time when the row first appeared. */
async function pollRows(stage: PipelineStage, total: number): Promise<ReadonlyMap<number, number>> {
  const seen = new Map<number, number>()
  for (let lowest = 0; seen.size < total;) {
    const rows = await stage.query<{ n: number }>(
      `SELECT data.generic_sensor_0.:Float64 AS n FROM processed_envelopes WHERE n >= ${lowest} AND n < ${total}`,
    )
    const at = performance.now()
    for (const { n } of rows) if (!seen.has(n)) seen.set(n, at)
    while (seen.has(lowest)) lowest += 1
    await sleep(POLL_INTERVAL_MS)
  }
  return seen
}
