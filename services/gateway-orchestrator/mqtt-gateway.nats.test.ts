import { describe, expect, test, vi } from 'vitest'
import { gateway, GatewayRig, WAIT } from '../../test/rig/gateways/gateway-rig.ts'

const rig = GatewayRig.forEach()

describe('messages of devices', () => {
  test.each(['mqtt', 'EMQX'])(
    'G-8: a gateway of type %s publishes a raw envelope for each message',
    async (gatewayType) => {
      const own = rig.mqttGateway(1, {}, { gatewayType })
      await rig.insert(own)
      const service = await rig.serve()
      await service.until(own.gatewayId, 'running')
      const client = await rig.publisher()
      const payloads = [Buffer.from('006700ff', 'hex'), Buffer.alloc(0), Buffer.from([0xff, 0])]
      for (const payload of payloads) await client.publish('o1/d1', payload)
      const envelopes = await rig.untilEnvelopes(3)
      expect(envelopes.map(({ payload }) => Buffer.from(payload))).toEqual(payloads)
      expect(envelopes[0]).toMatchObject({ organizationId: 'o1', endDeviceId: 'd1' })
      const [stored] = await rig.stored('raw_envelopes')
      expect(stored?.subject).toBe('raw_envelopes.d1')
      expect(await service.gateways()).toMatchObject({ [own.gatewayId]: { state: 'running', messages: 3 } })
    },
  )

  test('G-8: a gateway of type print logs its configuration periodically without secrets', async () => {
    await rig.insert(gateway('g1', 1, { gatewayConfig: { site: 'roof', password: 'hunter2' } }))
    const service = await rig.serve({ PONIX_GATEWAY_ORCHESTRATOR_PRINT_INTERVAL_SECS: '0.01' })
    await service.matchingLines('gateway', ({ msg }) => msg === 'gateway', 3)
    const printed = service.lines.filter(({ msg }) => msg === 'gateway')
    expect(printed[0]).toMatchObject({
      gateway_id: 'g1',
      organization_id: 'o1',
      gateway_type: 'print',
      gateway_config: { site: 'roof', password: '***' },
    })
  })

  test('G-8: a gateway acknowledges to the broker after JetStream has stored the message, so kill -9 loses nothing', async () => {
    const own = rig.mqttGateway(1)
    await rig.insert(own)
    const first = await rig.serve()
    await first.until(own.gatewayId, 'running')
    const client = await rig.publisher()
    await client.publish('o1/d1', Buffer.from('0'))
    await rig.untilEnvelopes(1)
    await rig.nats.kill()
    for (let number = 1; number <= 20; number++) await client.publish('o1/d1', Buffer.from(String(number)))
    await first.kill()
    await rig.nats.start()
    await rig.client.link.untilConnected(new AbortController().signal)
    await rig.serve()
    const expected = new Set(Array.from({ length: 21 }, (_, number) => String(number)))
    const stored = async (): Promise<Set<string>> => {
      const envelopes = await rig.untilEnvelopes(1)
      return new Set(envelopes.map(({ payload }) => Buffer.from(payload).toString()))
    }
    await expect.poll(stored, WAIT).toEqual(expected)
  })

  test('G-8: a message that cannot be an envelope becomes a dead letter; the gateway continues', async () => {
    const own = rig.mqttGateway(1, { topic: '#' })
    await rig.insert(own)
    const service = await rig.serve()
    await service.until(own.gatewayId, 'running')
    const client = await rig.publisher()
    const poison = ['o1/d1/up', 'o2/d1', 'o1/d.1', 'o1/d 1', 'o1']
    for (const topic of poison) await client.publish(topic, Buffer.from(topic))
    await client.publish('o1/large', Buffer.alloc(2_000_000))
    await client.publish('o1/d1', Buffer.from('good'))
    const [envelope] = await rig.untilEnvelopes(1)
    expect(Buffer.from(envelope?.payload ?? []).toString()).toBe('good')
    const letters = await rig.untilStored('dead_letters', 6)
    expect(letters.map((letter) => letter.header('Ponix-Original-Subject'))).toEqual([...poison, 'o1/large'])
    expect(letters.slice(0, 5).map(({ body }) => Buffer.from(body).toString())).toEqual(poison)
    for (const letter of letters) expect(letter.header('Ponix-Reason')).toContain(`gateway ${own.gatewayId}: `)
    expect(letters[5]?.header('Ponix-Body-Omitted')).toBe('2000000')
    expect(service.history(own.gatewayId)).toEqual(['running (mqtt)', expect.stringMatching(/^refused messages/)])
  })

  test('B-2: an id that is too long for a subject becomes a dead letter, and NATS stays connected', async () => {
    const own = rig.mqttGateway(1, { topic: '#' })
    await rig.insert(own)
    const service = await rig.serve()
    await service.until(own.gatewayId, 'running')
    const client = await rig.publisher()
    const longest = 'd'.repeat(128)
    for (const id of ['d'.repeat(60_000), 'd'.repeat(129), longest]) await client.publish(`o1/${id}`, Buffer.from(id))
    const [envelope] = await rig.untilEnvelopes(1)
    expect(envelope?.endDeviceId).toBe(longest)
    const letters = await rig.untilStored('dead_letters', 2)
    expect(letters.map(({ body }) => body.length)).toEqual([60_000, 129])
    expect(letters.map((letter) => letter.header('Ponix-Reason'))).toEqual([
      `gateway ${own.gatewayId}: raw_envelope.end_device_id is too long: 60000 characters, at most 128`,
      `gateway ${own.gatewayId}: raw_envelope.end_device_id is too long: 129 characters, at most 128`,
    ])
    expect(service.lines.filter(({ msg }) => msg.startsWith('NATS disconnected'))).toEqual([])
  })

  test('B-5: a full stream of dead letters does not stop a gateway; their messages are dropped and counted until it has space', async () => {
    const own = rig.mqttGateway(1, { topic: '#' })
    await rig.insert(own)
    const service = await rig.serve()
    await service.until(own.gatewayId, 'running')
    await rig.limitDeadLetters(1)
    const client = await rig.publisher()
    const poison = async (count: number): Promise<void> => {
      for (let number = 0; number < count; number++) await client.publish('o1/d1/up', Buffer.from('poison'))
    }
    await poison(20)
    await client.publish('o1/d1', Buffer.from('good'))
    const [envelope] = await rig.untilEnvelopes(1)
    expect(Buffer.from(envelope?.payload ?? []).toString()).toBe('good')
    const deadLetters = async (outcome: string): Promise<number> =>
      (await service.metric(`ponix_nats_dead_letters_total{cause="invalid_topic",outcome="${outcome}"}`)) ?? 0
    await expect.poll(() => deadLetters('dropped'), WAIT).toBe(20)
    expect(service.lines.filter(({ msg }) => msg.includes('cannot store dead letters'))).toHaveLength(1)
    await rig.limitDeadLetters(-1)
    let sent = 20
    const stored = async (): Promise<number> => {
      await poison(1)
      sent += 1
      return (await rig.stored('dead_letters')).length
    }
    await expect.poll(stored, { ...WAIT, interval: 500 }).toBeGreaterThan(0)
    await expect.poll(async () => (await deadLetters('stored')) + (await deadLetters('dropped')), WAIT).toBe(sent)
    const [line] = await service.matchingLines(
      'stores again',
      ({ msg }) => msg.includes('dead letters are stored again'),
      1,
    )
    expect(line).toMatchObject({ dropped: await deadLetters('dropped') })
  })

  test('B-5: a gateway stores dead letters up to the quota of its organization', async () => {
    const own = rig.mqttGateway(1, { topic: '#' })
    const other = rig.mqttGateway(1, { topic: '#' }, { organizationId: 'o2' })
    for (const each of [own, other]) await rig.insert(each)
    const service = await rig.serve({ PONIX_DEAD_LETTER_QUOTA: '3' })
    for (const { gatewayId } of [own, other]) await service.until(gatewayId, 'running')
    const client = await rig.publisher()
    for (let number = 0; number < 10; number++) await client.publish('o1/d1', Buffer.from(String(number)))
    await rig.untilEnvelopes(10)
    // The gateway of o2 receives the same messages, which name another organization.
    const dropped = 'ponix_nats_dead_letters_total{cause="invalid_topic",outcome="dropped"}'
    await expect.poll(() => service.metric(dropped), WAIT).toBe(7)
    expect(await rig.stored('dead_letters')).toHaveLength(3)
  })

  test('G-3: a new topic in the config replaces the old subscription', async () => {
    const own = rig.mqttGateway(1, { topic: 'o1/d1' })
    const service = await rig.serve()
    await rig.publishEvent('create', own)
    await service.until(own.gatewayId, 'running')
    const gatewayConfig = { ...own.gatewayConfig, topic: 'o1/d2' }
    await rig.publishEvent('update', { ...own, gatewayConfig, updatedAt: 2n })
    await service.until(own.gatewayId, 'running', 2)
    const client = await rig.publisher()
    await client.publish('o1/d1', Buffer.from('old'))
    await client.publish('o1/d2', Buffer.from('new'))
    await vi.waitUntil(async () => (await rig.untilEnvelopes(1)).some(({ endDeviceId }) => endDeviceId === 'd2'), WAIT)
    expect((await rig.untilEnvelopes(1)).map(({ endDeviceId }) => endDeviceId)).toEqual(['d2'])
  })
})
