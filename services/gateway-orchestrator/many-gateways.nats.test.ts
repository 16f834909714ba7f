import { randomUUID } from 'node:crypto'
import { expect, onTestFinished, test } from 'vitest'
import { connectMqttPublisher } from '../../src/mqtt/client.ts'
import { memoryOf } from '../../test/rig/memory.ts'
import { gateway, GatewayRig, WAIT } from '../../test/rig/gateways/gateway-rig.ts'
import { ScriptedBroker } from '../../test/rig/gateways/scripted-broker.ts'

const GATEWAYS = 10_000
/** Resident memory for each gateway of type `print`; `npm run bench gateways` measures its heap. */
const MAX_KIB = 16

const rig = GatewayRig.forEach()

async function insertGateways(count: number, type: string, config: object): Promise<void> {
  await rig.database.sql(
    `INSERT INTO gateways (gateway_id, organization_id, name, gateway_type, gateway_config)
     SELECT 'gateway-' || n, 'o1', 'one of many', $2, $3 FROM generate_series(1, $1) n`,
    [count, type, JSON.stringify(config)],
  )
}

test('G-12: one instance runs 10,000 gateways, each of them in little memory', async () => {
  const quiet = { PONIX_LOG_LEVEL: 'warn', PONIX_GATEWAY_ORCHESTRATOR_PRINT_INTERVAL_SECS: '86400' }
  const none = await rig.launch(quiet)
  await expect.poll(() => none.gateways().catch(() => undefined), WAIT).toEqual({})
  const before = memoryOf(none.pid).now
  await none.stop()
  await insertGateways(GATEWAYS, 'print', { site: 'roof' })
  const service = await rig.launch(quiet)
  const running = async (): Promise<number | undefined> =>
    await service.metric('ponix_gateways{state="running"}').catch(() => undefined)
  await expect.poll(running, WAIT).toBe(GATEWAYS)
  expect(((memoryOf(service.pid).now - before) * 1024) / GATEWAYS).toBeLessThan(MAX_KIB)
})

test('G-9, G-12: 1,000 gateways with a wrong password do not disturb others, and all run once the broker accepts it', async () => {
  const refusing = await ScriptedBroker.start('refuse')
  onTestFinished(() => refusing[Symbol.asyncDispose]())
  const good = gateway('good', 1, { gatewayType: 'mqtt', gatewayConfig: { broker_url: rig.brokerUrl } })
  await rig.insert(good)
  await insertGateways(1000, 'mqtt', { broker_url: refusing.url, username: 'u', password: 'wrong' })
  const service = await rig.serve({ PONIX_GATEWAY_ORCHESTRATOR_RETRY_DELAY_SECS: '2' })
  await service.until(good.gatewayId, 'running')
  const client = await connectMqttPublisher({ brokerUrl: rig.brokerUrl, clientId: randomUUID() })
  await client.publish('o1/d1', Buffer.from('beside'))
  await client.close()
  expect(await rig.untilEnvelopes(1)).toHaveLength(1)
  const refused = async (): Promise<number> => {
    const reports = Object.values(await service.gateways())
    return reports.filter(({ last_error: error }) => String(error).includes('bad username or password')).length
  }
  await expect.poll(refused, WAIT).toBe(1000)
  const retries = Object.values(await service.gateways()).map((report) => Number(report['retries']))
  // No gateway makes an attempt beside its retries.
  expect(refusing.connects).toBeLessThanOrEqual(retries.reduce((sum, count) => sum + count + 1, 0))
  refusing.conduct = 'serve'
  const states = async (): Promise<readonly unknown[]> => [
    ...new Set(Object.values(await service.gateways()).map(({ state }) => state)),
  ]
  await expect.poll(states, WAIT).toEqual(['running'])
  expect(service.history(good.gatewayId)).toEqual(['running (mqtt)'])
})
