import { setImmediate } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { connectTo } from '../../test/rig/adapters/nats-client.ts'
import { startNats, type NatsAddress, type ServerControl } from '../../test/rig/servers.ts'
import type { NatsClient } from './connection.ts'
import { LeaseBucket } from './lease-bucket.ts'

let server: NatsAddress & ServerControl
let client: NatsClient

const bucketOf = (of: NatsClient, { ttlMs = 60_000, shards = '64' } = {}): LeaseBucket =>
  new LeaseBucket(of, { name: 'leases', ttlMs, agreement: { shards } })

beforeAll(async () => {
  server = await startNats()
  client = await connectTo(server.url)
})
afterAll(async () => {
  await client.drain()
  await server[Symbol.asyncDispose]()
})
beforeEach(async () => {
  for await (const { config } of client.manager.streams.list()) await client.manager.streams.delete(config.name)
})

describe('LeaseBucket', () => {
  it('G-13: is a KV bucket with a TTL and one value per key, and answers reads by the leader', async () => {
    await bucketOf(client).open()
    const { config } = await client.manager.streams.info('KV_leases')
    expect(config).toMatchObject({
      subjects: ['$KV.leases.>'],
      storage: 'file',
      max_age: 60_000_000_000,
      max_msgs_per_subject: 1,
      allow_direct: false,
    })
  })

  it('G-13: writes a key only with its current revision, which is 0 if the key does not exist', async () => {
    const bucket = bucketOf(client)
    await bucket.open()
    const first = await bucket.compareAndSet('shard.1', 'a', 0)
    expect(await bucket.compareAndSet('shard.1', 'b', 0)).toBeUndefined()
    const second = await bucket.compareAndSet('shard.1', 'a', first ?? 0)
    expect(await bucket.compareAndSet('shard.1', 'b', first ?? 0)).toBeUndefined()
    expect(await bucket.get('shard.1')).toEqual({ value: 'a', revision: second })
    expect(await bucket.get('shard.2')).toBeUndefined()
    await bucket.delete(first ?? 0)
    expect(await bucket.keys()).toEqual(['shard.1'])
    await bucket.delete(second ?? 0)
    expect(await bucket.keys()).toEqual([])
    expect(await bucket.compareAndSet('shard.1', 'b', 0)).toBeGreaterThan(0)
  })

  it('G-13: drops a key that is not written again in time, and keeps one that is', async () => {
    const bucket = bucketOf(client, { ttlMs: 1500 })
    await bucket.open()
    await bucket.put('instance.dead', '')
    const renew = setInterval(() => void bucket.put('instance.live', '').catch(() => undefined), 100)
    await expect.poll(() => bucket.keys(), { interval: 50 }).toEqual(['instance.live'])
    clearInterval(renew)
    await expect.poll(() => bucket.keys(), { interval: 50 }).toEqual([])
  })

  it('G-13: refuses to work while other instances have another TTL or number of shards, and changes an empty bucket', async () => {
    await using impatient = await connectTo(server.url, undefined, 300)
    const bucket = bucketOf(client)
    await bucket.open()
    await bucket.put('instance.a', '')
    const expected = 'use the bucket leases with shards 64 (expected 32), the TTL in ms 60000 (expected 30000); give'
    await expect(bucketOf(impatient, { shards: '32', ttlMs: 30_000 }).open()).rejects.toThrow(expected)
    await client.manager.streams.purge('KV_leases')
    await bucketOf(impatient, { shards: '32', ttlMs: 30_000 }).open()
    await expect(bucket.keys()).rejects.toThrow('shards 32 (expected 64)')
  })

  it('G-13: waits for the TTL before a bucket that was deleted counts again, because leases may still be held', async () => {
    const [bucket, other] = [bucketOf(client, { ttlMs: 1500 }), bucketOf(client, { ttlMs: 1500 })]
    await bucket.open()
    await other.open()
    await client.manager.streams.delete('KV_leases')
    const since = performance.now()
    for (const of of [bucket, other]) await expect(of.keys()).rejects.toThrow('the bucket leases was deleted')
    await expect.poll(() => bucket.keys().catch(() => 'rejected'), { interval: 50 }).toEqual([])
    expect(performance.now() - since).toBeGreaterThanOrEqual(1500)
  })

  it('G-13: uses an answer that arrived while the event loop was blocked for longer than the timeout', async () => {
    const ttlMs = 2000
    const bucket = bucketOf(client, { ttlMs })
    await bucket.open()
    const written = bucket.put('instance.blocked', '')
    // The request is sent in this turn; the answer arrives during the next one.
    await setImmediate()
    const end = performance.now() + ttlMs / 2
    while (performance.now() < end);
    expect(await written).toBeGreaterThan(0)
  })

  it('G-13: sends nothing while NATS is disconnected', async () => {
    await using own = await connectTo(server.url)
    const bucket = bucketOf(own)
    await bucket.open()
    await server.kill()
    await expect.poll(() => own.link.connected).toBe(false)
    await expect(bucket.compareAndSet('shard.1', 'a', 0)).rejects.toThrow('not connected to NATS')
    await server.start()
    await own.link.untilConnected(new AbortController().signal)
    expect(await bucket.keys()).toEqual([])
  })
})
