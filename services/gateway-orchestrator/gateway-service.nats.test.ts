import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { commitOf, gateway, GatewayRig } from '../../test/rig/gateways/gateway-rig.ts'

const rig = GatewayRig.forEach()

describe('a start of gateway-orchestrator', () => {
  test('G-1: runs every gateway that is not deleted, of all organizations, even if one cannot run', async () => {
    await rig.insert(gateway('g1', 1))
    await rig.insert(gateway('g2', 1, { organizationId: 'o2' }))
    await rig.insert(gateway('gone', 1, { deletedAt: 2n }))
    await rig.insert(gateway('unknown-type', 1, { gatewayType: 'pigeon' }))
    const service = await rig.serve()
    await service.until('unknown-type', 'failed permanently')
    expect(await service.gateways()).toEqual({
      g1: expect.objectContaining({ organization_id: 'o1', state: 'running' }),
      g2: expect.objectContaining({ organization_id: 'o2', state: 'running' }),
      'unknown-type': expect.objectContaining({
        state: 'failed',
        last_error: 'no runner for gateway type "pigeon"; expected one of print, mqtt, emqx, chirpstack, ttn',
      }),
    })
  })

  test('G-1: applies events from before and during the loading exactly once', async () => {
    await rig.publishEvent('create', gateway('g1', 1))
    await rig.publishEvent('update', gateway('g1', 2, { gatewayConfig: { site: 'cellar' } }))
    await rig.insert(gateway('g1', 2, { gatewayConfig: { site: 'cellar' } }))
    // The rows are read at a later position of the log, but do not contain the commit of a transaction that is in progress.
    const [service, commit] = await rig.database.transaction(async (client) => {
      const position = await commitOf(client)
      await rig.commit()
      return [await rig.serve(), position]
    })
    for (let times = 0; times < 2; times++) await rig.publishEvent('create', gateway('g2', 3), commit)
    await rig.untilApplied()
    expect(await service.stop()).toBe(0)
    for (const id of ['g1', 'g2']) expect(service.history(id)).toEqual(['running (print)', 'stopped'])
  })

  test('G-5, B-10: a new durable consumer, which reads the whole stream, starts no gateway that the rows say is gone', async () => {
    for (const id of ['g1', 'g2', 'g3']) await rig.publishEvent('create', gateway(id, 1))
    await rig.publishEvent('delete', gateway('g1', 1))
    await rig.publishEvent('update', gateway('g2', 2, { deletedAt: 2n }))
    await rig.insert(gateway('g2', 2, { deletedAt: 2n }))
    await rig.insert(gateway('g3', 1))
    const service = await rig.serve()
    await rig.untilApplied()
    expect(Object.keys(await service.gateways())).toEqual(['g3'])
    // The log is complete when the program has ended.
    expect(await service.stop()).toBe(0)
    const histories = ['g1', 'g2', 'g3'].map((id) => service.history(id))
    expect(histories).toEqual([[], [], ['running (print)', 'stopped']])
  })

  test('G-4, B-10: a new durable consumer starts none of the gateways that the stream says are truncated', async () => {
    for (const id of ['g1', 'g2']) await rig.publishEvent('create', gateway(id, 1))
    await rig.publishRaw('gateway.truncate', new Uint8Array())
    const service = await rig.serve()
    await rig.untilApplied()
    expect(await service.gateways()).toEqual({})
    expect(await rig.stored('dead_letters')).toEqual([])
  })

  test('G-11: applies the events that were published while the service was down', async () => {
    const first = await rig.serve()
    for (const id of ['g1', 'g2']) await rig.publishEvent('create', gateway(id, 1))
    await first.until('g2', 'running')
    expect(await first.stop()).toBe(0)
    await rig.publishEvent('delete', gateway('g1', 1))
    await rig.publishEvent('create', gateway('g3', 1))
    for (const id of ['g2', 'g3']) await rig.insert(gateway(id, 1))
    const second = await rig.serve()
    await rig.untilApplied()
    expect(Object.keys(await second.gateways())).toEqual(['g2', 'g3'])
    expect(await second.stop()).toBe(0)
    expect(second.history('g1')).toEqual([])
    for (const id of ['g2', 'g3']) expect(second.history(id)).toEqual(['running (print)', 'stopped'])
  })
})

describe('events', () => {
  test('G-2: a create event starts a gateway, and a second one has no effect', async () => {
    const service = await rig.serve()
    await rig.publishEvent('create', gateway('g1', 1))
    await rig.publishEvent('create', gateway('g1', 1))
    await rig.untilApplied()
    expect(service.history('g1')).toEqual(['running (print)'])
    expect(await service.gateways()).toMatchObject({ g1: { state: 'running', gateway_type: 'print' } })
  })

  test('G-3: a changed config restarts the gateway; other changes do not', async () => {
    const service = await rig.serve()
    await rig.publishEvent('create', gateway('g1', 1, { gatewayConfig: { a: 1, b: { c: 2, d: 3 } } }))
    await rig.publishEvent('update', gateway('g1', 2, { gatewayConfig: { b: { d: 3, c: 2 }, a: 1 }, name: 'renamed' }))
    await rig.untilApplied()
    expect(service.history('g1')).toEqual(['running (print)'])
    expect(await service.gateways()).toMatchObject({ g1: { name: 'renamed' } })
    await rig.publishEvent('update', gateway('g1', 3, { gatewayConfig: { a: 2 } }))
    await rig.untilApplied()
    await expect.poll(() => service.history('g1')).toEqual(['running (print)', 'stopped', 'running (print)'])
    const printed = () => service.lines.filter((line) => line.msg === 'gateway').map((line) => line['gateway_config'])
    await expect.poll(() => printed().at(-1)).toEqual({ a: 2 })
  })

  test('G-3: an update starts an unknown gateway; an update with deleted_at stops the gateway', async () => {
    const service = await rig.serve()
    await rig.publishEvent('update', gateway('g1', 1))
    await service.until('g1', 'running')
    await rig.publishEvent('update', gateway('g1', 2, { deletedAt: 2n }))
    await rig.publishEvent('update', gateway('never-ran', 2, { deletedAt: 2n }))
    await rig.untilApplied()
    await expect.poll(() => service.history('g1')).toEqual(['running (print)', 'stopped'])
    expect(await service.gateways()).toEqual({})
  })

  test('G-4: a delete stops and removes a gateway, and has no effect on an unknown gateway', async () => {
    const service = await rig.serve()
    await rig.publishEvent('create', gateway('g1', 1))
    await rig.publishEvent('delete', gateway('unknown', 1))
    await rig.publishEvent('delete', gateway('g1', 1))
    await rig.untilApplied()
    await expect.poll(() => service.history('g1')).toEqual(['running (print)', 'stopped'])
    expect(await service.gateways()).toEqual({})
    expect(await rig.stored('dead_letters')).toEqual([])
  })

  test('G-5: an older event has no effect, even after the gateway is removed and whatever its time is', async () => {
    const service = await rig.serve()
    const [oldest, older] = [await rig.commit(), await rig.commit()]
    await rig.publishEvent('create', gateway('g1', 4, { gatewayConfig: { a: 'new' } }))
    await rig.publishEvent('update', gateway('g1', 5, { gatewayConfig: { a: 'old' } }), older)
    await rig.publishEvent('delete', gateway('g1', 3))
    await rig.publishEvent('update', gateway('g1', 5), older)
    await rig.publishEvent('create', gateway('g1', 6), oldest)
    await rig.untilApplied()
    expect(await service.gateways()).toEqual({})
    expect(await service.stop()).toBe(0)
    expect(service.history('g1')).toEqual(['running (print)', 'stopped'])
  })

  test('G-5: of many events of a gateway the newest decides, and no older one is applied after a newer one', async () => {
    const service = await rig.serve()
    for (let version = 1; version <= 15; version++) {
      await rig.publishEvent('update', gateway('g1', version, { gatewayConfig: { version } }))
      await rig.publishEvent('update', gateway('g2', version, { gatewayConfig: { version } }))
    }
    await rig.untilApplied()
    expect(await service.stop()).toBe(0)
    for (const id of ['g1', 'g2']) {
      const printed = service.lines.filter((line) => line.msg === 'gateway' && line['gateway_id'] === id)
      const versions = printed.map((line) => z.object({ version: z.number() }).parse(line['gateway_config']).version)
      expect(versions).toEqual([...new Set(versions)].sort((one, other) => one - other))
      expect(versions.at(-1)).toBe(15)
    }
  })

  test('B-10: a periodic comparison with the rows corrects what no event has reported, and counts it', async () => {
    for (const id of ['changed', 'gone', 'same']) await rig.insert(gateway(id, 1))
    const service = await rig.serve({ PONIX_GATEWAY_ORCHESTRATOR_RESYNC_SECS: '0.05' })
    await service.until('same', 'running')
    await rig.database.sql(`DELETE FROM gateways WHERE gateway_id = 'gone'`)
    await rig.database.sql(`UPDATE gateways SET gateway_config = '{"site": "cellar"}' WHERE gateway_id = 'changed'`)
    await rig.insert(gateway('missed', 1))
    await service.until('missed', 'running')
    await service.until('gone', 'stopped')
    await service.until('changed', 'running', 2)
    const corrections = async () => /^ponix_gateway_resync_corrections_total (\d+)$/m.exec(await service.metrics())?.[1]
    await expect.poll(corrections).toBe('3')
    expect(await service.stop()).toBe(0)
    expect(service.history('same')).toEqual(['running (print)', 'stopped'])
    const logged = service.lines.filter(({ msg }) => msg === 'corrected gateways whose events were missing or late')
    expect(logged.reduce((sum, line) => sum + Number(line['gateways']), 0)).toBe(3)
  })

  test('B-10: a comparison that fails is repeated and logged once', async () => {
    const service = await rig.serve({ PONIX_GATEWAY_ORCHESTRATOR_RESYNC_SECS: '0.01' })
    await rig.database.sql('ALTER TABLE gateways RENAME TO hidden')
    const failed = 'cannot compare the gateways with PostgreSQL'
    await service.line(failed)
    await rig.database.sql('ALTER TABLE hidden RENAME TO gateways')
    await rig.insert(gateway('missed', 1))
    await service.until('missed', 'running')
    expect(service.lines.filter(({ msg }) => msg.startsWith(failed))).toHaveLength(1)
  })

  test('G-4, B-10: a truncation stops all gateways, and older events start none', async () => {
    const service = await rig.serve()
    for (const id of ['g1', 'g2']) await rig.publishEvent('create', gateway(id, 1))
    await service.until('g2', 'running')
    const before = await rig.commit()
    await rig.publishRaw('gateway.truncate', new Uint8Array())
    await rig.publishEvent('update', gateway('g1', 4), before)
    await rig.publishEvent('create', gateway('unknown', 4), before)
    await rig.publishEvent('create', gateway('g3', 6))
    await rig.untilApplied()
    expect(Object.keys(await service.gateways())).toEqual(['g3'])
    expect(await rig.stored('dead_letters')).toEqual([])
    expect(await service.stop()).toBe(0)
    expect(service.history('g1')).toEqual(['running (print)', 'stopped'])
    expect(service.history('unknown')).toEqual([])
  })

  test('G-11: an invalid event becomes a dead letter with its reason, and later events are applied', async () => {
    const service = await rig.serve({ PONIX_GATEWAY_CDC_CONSUMER_NAME: 'another-name' })
    await rig.publishRaw('gateway.create', Buffer.from('garbage'))
    await rig.publishRaw('gateway.vanish', new Uint8Array())
    await rig.publishEvent('create', gateway('g1', 1))
    await service.until('g1', 'running')
    await rig.untilApplied('another-name')
    const letters = await rig.untilStored('dead_letters', 2)
    expect(letters.map(({ subject }) => subject)).toEqual(['dead_letters.gateways', 'dead_letters.gateways'])
    const described = letters.map((letter) => [letter.header('Ponix-Original-Subject'), letter.header('Ponix-Reason')])
    expect(described).toEqual([
      ['gateway.create', expect.stringMatching(/gateway/i)],
      ['gateway.vanish', expect.stringMatching(/gateway/i)],
    ])
    const { config } = await rig.client.manager.consumers.info('gateways', 'another-name')
    expect(config.filter_subject).toBe('gateway.>')
  })

  test('G-11: events are applied after a restart of NATS, and no gateway stops', async () => {
    const service = await rig.serve()
    await rig.publishEvent('create', gateway('g1', 1))
    await service.until('g1', 'running')
    await rig.nats.kill()
    await rig.nats.start()
    await rig.client.link.untilConnected(new AbortController().signal)
    await rig.publishEvent('create', gateway('g2', 1))
    await service.until('g2', 'running')
    expect(service.history('g1')).toEqual(['running (print)'])
  })
})
