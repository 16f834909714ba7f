import { expect, it } from 'vitest'
import { createLogger } from '../../src/runner/logger.ts'
import { ShardLeases } from './shard-leases.ts'

it('G-13: a lease that is late owns its gateways until their runners are stopped, but does not hold them', async () => {
  let now = 0
  const ttlMs = 60_000
  const bucket = {
    name: 'leases',
    ttlMs,
    open: async () => undefined,
    keys: async () => [],
    get: async () => undefined,
    put: async () => 1,
    compareAndSet: async () => 2,
    delete: async () => undefined,
  }
  const stop = new AbortController()
  const leases = await new Promise<ShardLeases>((acquired) => {
    const onChange = async (): Promise<void> => acquired(own)
    const common = { instance: 'one', shards: 1, bucket, logger: createLogger('test'), nowMs: () => now }
    const own = new ShardLeases({ ...common, onChange })
    void own.run(stop.signal)
  })
  expect([leases.owns('g'), leases.holds('g')]).toEqual([true, true])
  // A gateway that starts now must not be forgotten if the lease is renewed before the runners are stopped.
  now += ttlMs
  expect([leases.owns('g'), leases.holds('g')]).toEqual([true, false])
  stop.abort()
  await leases.close()
})
