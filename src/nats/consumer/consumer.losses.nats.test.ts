import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, inject, test, vi } from 'vitest'
import { DURABLE, deferred, range, recorder, scene, untilSettled } from '../../../test/rig/adapters/consumer-scene.ts'
import { FrameSplitter } from '../../../test/rig/adapters/faulty-nats.ts'
import { startNats } from '../../../test/rig/servers.ts'
import { TcpProxy } from '../../../test/rig/tcp-proxy.ts'
import { natsMetrics } from '../metrics.ts'

describe('the consumer', () => {
  test('N-6 loses no message while NATS is killed and restarted, and logs disconnect and reconnect once', async () => {
    await using server = await startNats()
    await using s = await scene(server.url)
    await s.publish(...range(0, 300))
    const half = deferred()
    const record = recorder(600)
    const consumer = s.consume(
      async (batch) => {
        if (record.seen.length >= 100) half.resolve()
        return await record.handle(batch)
      },
      // Messages acknowledged at the moment of the kill are redelivered after this time.
      { ackWaitMs: 500, observeIntervalMs: 50 },
    )
    await half.promise
    await server.kill()
    await s.log.line('NATS disconnected')
    const published = s.publish(...range(300, 600))
    await server.start()
    await Promise.all([published, record.all])
    await untilSettled(s)
    await consumer.stop()
    expect([...new Set(record.seen)].sort((a, b) => Number(a) - Number(b))).toEqual(range(0, 600))
    expect((await s.client.manager.streams.info(s.stream)).state.messages).toBe(600)
    expect(s.log.count('NATS disconnected')).toBe(1)
    expect(s.log.count('NATS reconnected')).toBe(1)
    expect(s.log.count('not received')).toBe(0)
  })

  test('B-12 repeats a request for its creation that JetStream does not answer, and logs the wait once', async () => {
    let lost = 0
    await using proxy = await TcpProxy.start(inject('nats').url, (link) => {
      const frames = new FrameSplitter()
      return {
        fromClient(bytes) {
          for (const frame of frames.split(bytes)) {
            const isCreation = frame.includes('$JS.API.CONSUMER.CREATE.')
            if (isCreation && lost++ === 0) continue
            link.toServer(frame)
          }
        },
        fromServer: (bytes) => link.toClient(bytes),
      }
    })
    await using s = await scene(`nats://127.0.0.1:${proxy.port}`)
    await s.publish('first')
    const record = recorder(1)
    const consumer = s.consume(record.handle)
    await Promise.race([record.all, consumer.ended])
    await consumer.stop()
    expect(lost).toBe(2)
    expect(s.log.count('cannot consume')).toBe(1)
    expect(s.log.count('consuming again')).toBe(1)
  })

  test('N-6 recreates a deleted consumer and a deleted stream and continues', async () => {
    await using s = await scene()
    const record = recorder(1)
    const consumer = s.consume(record.handle)
    await s.publish('first')
    await record.all
    await untilSettled(s)
    await s.client.manager.consumers.delete(s.stream, DURABLE)
    await s.publish('second')
    await vi.waitFor(() => expect(record.seen).toContain('second'), { timeout: 10_000, interval: 20 })
    await s.client.manager.streams.delete(s.stream)
    await s.publish('third')
    await vi.waitFor(() => expect(record.seen).toContain('third'), { timeout: 10_000, interval: 20 })
    await consumer.stop()
  })

  test('N-6 continues after the ack floor of a deleted durable consumer, and reports its lag', async () => {
    await using s = await scene()
    await s.publish(...range(0, 50))
    const record = recorder(51)
    const durable = `lag-${s.stream}`
    const consumer = s.consume(record.handle, { durable, observeIntervalMs: 10 })
    const info = () => s.client.manager.consumers.info(s.stream, durable)
    await vi.waitFor(async () => expect((await info()).ack_floor.stream_seq).toBe(50), {
      timeout: 10_000,
      interval: 20,
    })
    // Both gauges come from one reply: when both are 0, the ack floor is current.
    const lag = async () => {
      const gauges = await Promise.all([natsMetrics.pending.get(), natsMetrics.ackPending.get()])
      return gauges.map(({ values }) => values.find(({ labels }) => labels.durable === durable)?.value)
    }
    await vi.waitFor(async () => expect(await lag()).toEqual([0, 0]), { timeout: 10_000, interval: 20 })
    await s.client.manager.consumers.delete(s.stream, durable)
    await s.publish('50')
    await record.all
    await consumer.stop()
    expect(record.seen).toEqual(range(0, 51))
  })

  test.each([
    ['the running consumer', true],
    ['a restarted consumer', false],
  ])('N-6 %s keeps the ack floor that NATS lost in a kill', async (_who, stays) => {
    await using server = await startNats()
    await using s = await scene(server.url)
    await s.publish(...range(0, 50))
    const record = recorder(stays ? 51 : 50)
    const first = s.consume(record.handle, { observeIntervalMs: 10 })
    const kept = () =>
      s.client.manager.streams.getMessage('consumer_progress', {
        last_by_subj: `consumer_progress.${s.stream}.${DURABLE}`,
      })
    await vi.waitFor(async () => expect((await kept())?.json()).toMatchObject({ ackFloor: 50 }), {
      timeout: 10_000,
      interval: 20,
    })
    if (!stays) await first.stop()
    await server.kill()
    const states = await filesLike(server.dataDir, `${s.stream}/obs/${DURABLE}/o.dat`)
    for (const state of states) await rm(state)
    await server.start()
    await s.publish('50')
    const second = stays ? undefined : s.consume(record.handle)
    await vi.waitFor(() => expect(record.seen).toContain('50'), { timeout: 20_000, interval: 20 })
    await untilSettled(s)
    await (second ?? first).stop()
    expect(states).toHaveLength(1)
    expect(record.seen).toEqual(range(0, 51))
    expect(s.log.count('NATS lost the progress of worker')).toBe(1)
  })
})

/** Returns the files in a folder whose path has this suffix. */
async function filesLike(folder: string, end: string): Promise<readonly string[]> {
  const paths = await readdir(folder, { recursive: true })
  return paths.filter((path) => path.endsWith(end)).map((path) => join(folder, path))
}
