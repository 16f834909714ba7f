import { describe, expect, test } from 'vitest'
import { gateway, GatewayRig, WAIT } from '../../test/rig/gateways/gateway-rig.ts'
import type { RunningService } from '../../test/rig/gateways/running-service.ts'

const rig = GatewayRig.forEach()

const LEASES = { PONIX_GATEWAY_ORCHESTRATOR_LEASES: 'on', PONIX_GATEWAY_ORCHESTRATOR_LEASE_SECS: '2' }
/** So many that each of three instances has some, except with a probability of 1 in 60,000. */
const IDS = Array.from({ length: 30 }, (_, number) => `g${number}`)

async function serveInstances(count: number): Promise<readonly RunningService[]> {
  return await Promise.all(Array.from({ length: count }, () => rig.serve(LEASES)))
}

/** Returns the name of the durable consumer of an instance. */
function consumerOf({ lines }: RunningService): string {
  const line = lines.find(({ msg }) => msg.startsWith('sharing the gateways'))
  return `gateway-cdc-consumer-${String(line?.['instance'])}`
}

/** Returns the gateways that run at each instance. */
async function distribution(instances: readonly RunningService[]): Promise<readonly (readonly string[])[]> {
  return await Promise.all(instances.map(async (instance) => Object.keys(await instance.gateways())))
}

/** Resolves when the stored connection of each gateway is the one of the instance that runs it. */
async function untilReported(instances: readonly RunningService[]): Promise<void> {
  const owners = await Promise.all(
    instances.map(async (instance) => {
      const name = await instance.instance()
      return Object.keys(await instance.gateways()).map((gatewayId) => `${gatewayId} ${name} running`)
    }),
  )
  const text = `SELECT gateway_id || ' ' || instance || ' ' || state AS owner FROM gateway_connections`
  const stored = async () => (await rig.database.sql<{ owner: string }>(text)).map(({ owner }) => owner).sort()
  await expect.poll(stored, WAIT).toEqual(owners.flat().sort())
}

/** Resolves when each of these gateways runs at exactly one instance, and every instance runs some. */
async function untilShared(instances: readonly RunningService[], ids: readonly string[]): Promise<void> {
  const isShared = async (): Promise<boolean> => {
    const found = await distribution(instances)
    return found.every((own) => own.length > 0) && found.flat().sort().join() === [...ids].sort().join()
  }
  await expect.poll(isShared, WAIT).toBe(true)
}

describe('several instances of gateway-orchestrator', () => {
  test('G-13: without leases every instance runs every gateway', async () => {
    for (const id of IDS.slice(0, 2)) await rig.insert(gateway(id, 1))
    const instances = [
      await rig.serve({ PONIX_REPLICA: '1', PONIX_GATEWAY_ORCHESTRATOR_LEASES: 'off' }),
      await rig.serve(),
    ]
    expect(await distribution(instances)).toEqual([
      ['g0', 'g1'],
      ['g0', 'g1'],
    ])
  })

  test('G-13, G-11, G-14: share the gateways, each see every event, and take over those of an instance that stops or is killed', async () => {
    for (const id of IDS) await rig.insert(gateway(id, 1))
    const [first, second, third] = await serveInstances(3)
    if (!first || !second || !third) throw new Error('expected three instances')
    await untilShared([first, second, third], IDS)

    await rig.insert(gateway('created', 1))
    await rig.database.sql(`DELETE FROM gateways WHERE gateway_id = 'g0'`)
    await rig.publishEvent('create', gateway('created', 1))
    await rig.publishEvent('delete', gateway('g0', 2))
    for (const id of IDS.slice(1))
      await rig.publishEvent('update', gateway(id, 2, { gatewayConfig: { site: 'cellar' } }))
    const ids = [...IDS.slice(1), 'created']
    await untilShared([first, second, third], ids)
    await Promise.all([first, second, third].map((instance) => rig.untilApplied(consumerOf(instance))))
    const printed = [first, second, third].flatMap(({ lines }) => lines.filter(({ msg }) => msg === 'gateway'))
    for (const id of IDS.slice(1)) {
      const configs = printed.filter((line) => line['gateway_id'] === id).map((line) => line['gateway_config'])
      expect(configs).toContainEqual({ site: 'cellar' })
    }

    await untilReported([first, second, third])
    expect(await first.stop()).toBe(0)
    await untilShared([second, third], ids)
    await second.kill()
    await untilShared([third], ids)
    await untilReported([third])
    const fourth = await rig.serve(LEASES)
    await untilShared([third, fourth], ids)
    await untilReported([third, fourth])
  })

  test('G-13: stop their gateways while NATS is away for longer than their leases, and continue afterwards', async () => {
    for (const id of IDS) await rig.insert(gateway(id, 1))
    const instances = await serveInstances(2)
    await untilShared(instances, IDS)
    await rig.nats.kill()
    await expect.poll(() => distribution(instances), WAIT).toEqual([[], []])
    await rig.nats.start()
    await untilShared(instances, IDS)
    for (const instance of instances) await instance.line('lost leases')
  })

  test('G-13: an instance with another number of shards does not start', async () => {
    await rig.insert(gateway('g0', 1))
    const first = await rig.serve(LEASES)
    await first.until('g0', 'running')
    const wrong = await rig.launch({
      ...LEASES,
      PONIX_GATEWAY_ORCHESTRATOR_SHARDS: '32',
      PONIX_STARTUP_TIMEOUT_SECS: '5',
    })
    const line = await wrong.line('other instances use the bucket gateway_leases')
    expect(line.msg).toContain('PONIX_GATEWAY_ORCHESTRATOR_SHARDS 64 (expected 32)')
    expect(await wrong.outcome).toMatchObject({ code: 1 })
    await untilShared([first], ['g0'])
  })
})
