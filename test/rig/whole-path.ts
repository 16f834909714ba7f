import { ORGANIZATION, startPipeline } from './pipeline.ts'
import { evaluationWorkerUrl } from './program.ts'
import { createProducer } from '../../src/nats/producer.ts'
import { encodeRawEnvelope } from '../../src/proto/envelope.ts'
import { createAnalytics } from '../../services/analytics/analytics.ts'

/** A temperature of 25.5, a humidity of 65 and a pressure of 1013.3, as Cayenne LPP says them. */
export const PAYLOAD = Uint8Array.from(Buffer.from('006700FF01688202732795', 'hex'))

export type WholePath = Awaited<ReturnType<typeof startWholePath>>

/** The servers of a test file's own, and analytics between them, in the test's process. */
export async function startWholePath() {
  const pipeline = await startPipeline()
  const analytics = await createAnalytics({ ...pipeline, workerUrl: evaluationWorkerUrl })
  const stopping = new AbortController()
  const running = Promise.all([
    analytics.processes.raw(stopping.signal),
    analytics.processes.processed(stopping.signal),
  ])
  return {
    ...pipeline,
    query: (text: string, device: string): Promise<unknown[]> => pipeline.query(text, { device }),
    /** Publishes so many envelopes, each of another moment; those of two calls are different if `from` says so. */
    async publish(endDeviceId: string, count: number, from = 0): Promise<void> {
      const producer = createProducer(pipeline.nats)
      const start = BigInt(Date.now()) * 1000n
      const numbers = Array.from({ length: count }, (_, index) => from + index)
      await Promise.all(
        numbers.map((number) =>
          producer.publish({
            subject: `raw_envelopes.${endDeviceId}`,
            body: encodeRawEnvelope({
              organizationId: ORGANIZATION,
              endDeviceId,
              payload: PAYLOAD,
              receivedAt: start + BigInt(number),
            }),
            messageId: `${endDeviceId}-${number}`,
          }),
        ),
      )
      producer.close()
    },
    /** All rows of a device, and how many different envelopes they are; nothing while ClickHouse is away. */
    async rowsOf(device: string): Promise<unknown> {
      const text = `SELECT toUInt32(count()) AS rows, toUInt32(uniqExact(occurred_at)) AS envelopes
        FROM processed_envelopes WHERE end_device_id = {device: String}`
      const [row] = await pipeline.query(text, { device }).catch(() => [])
      return row
    },
    async deadLetters(): Promise<number> {
      return (await pipeline.nats.manager.streams.info('dead_letters')).state.messages
    },
    async stop(): Promise<void> {
      stopping.abort()
      await running
      await analytics.close()
      await pipeline.stop()
    },
  }
}
