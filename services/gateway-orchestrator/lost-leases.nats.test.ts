import { afterAll, beforeAll, beforeEach, describe, expect, inject, it, onTestFinished } from 'vitest'
import { GatewayNotOwned, messageOf } from '../../src/domain/errors.ts'
import type { GatewayRun } from '../../src/domain/gateway-orchestration/gateway-process.ts'
import { InFlightBudget } from '../../src/mqtt/in-flight-budget.ts'
import type { NatsClient } from '../../src/nats/connection.ts'
import { DeadLetterQuota } from '../../src/nats/dead-letter-quota.ts'
import { createProducer } from '../../src/nats/publisher/producer.ts'
import { ensureStreams } from '../../src/nats/streams.ts'
import { connectTo, PLATFORM_STREAMS } from '../../test/rig/adapters/nats-client.ts'
import { gateway } from '../../test/rig/gateways/gateway-rig.ts'
import { CHIRPSTACK_UPLINK } from '../../test/rig/gateways/network-server.ts'
import { ScriptedBroker } from '../../test/rig/gateways/scripted-broker.ts'
import { Redeliveries } from './redeliveries.ts'
import { RefusedMessages } from './refused-messages.ts'
import { gatewayRunners } from './runners.ts'

const LOST = 'another instance may run the gateway'
const TOPIC = 'application/a1/device/d1/event/up'

let client: NatsClient
beforeAll(async () => {
  client = await connectTo(inject('nats').url)
})
afterAll(() => client.drain())
beforeEach(async () => {
  await ensureStreams(client, PLATFORM_STREAMS)
  await client.manager.streams.purge('dead_letters')
})

/** A lease that a test loses. */
class TestLease {
  isHeld = true
  readonly assertOwned = (): void => {
    if (!this.isHeld) throw new GatewayNotOwned(LOST)
  }
}

async function letters(): Promise<number> {
  return (await client.manager.streams.info('dead_letters')).state.messages
}

/** Runs a gateway that loses its lease while it looks a device up, which does not exist. Returns why it ended. */
async function runUntilLost(broker: ScriptedBroker, lease: TestLease, failed: number): Promise<string> {
  const producer = createProducer(client)
  const deadLetterQuota = new DeadLetterQuota(1, client.logger)
  for (let number = 0; number < failed; number += 1) deadLetterQuota.admit('o1', 'earlier')
  const runners = gatewayRunners({
    budget: new InFlightBudget(),
    redeliveries: new Redeliveries(client, producer, 'raw_envelopes'),
    refused: new RefusedMessages(client, producer, deadLetterQuota),
    rawStream: 'raw_envelopes',
    shards: 1,
    maxMessageBytes: () => 1024 * 1024,
    devices: {
      findByExternalId: async () => {
        lease.isHeld = false
        return null
      },
    },
    logger: client.logger,
    printIntervalMs: 1000,
  })
  const abort = new AbortController()
  onTestFinished(() => abort.abort())
  const ignore = (): void => undefined
  const run: GatewayRun = {
    gateway: gateway('g1', 1, { gatewayType: 'chirpstack', gatewayConfig: { broker_url: broker.url } }),
    signal: abort.signal,
    assertOwned: lease.assertOwned,
    forfeited: abort.signal,
    successor: () => undefined,
    succeeded: ignore,
    interrupted: ignore,
    received: ignore,
    observed: ignore,
    refused: ignore,
  }
  const runner = runners.get('chirpstack')
  return await (runner?.(run) ?? Promise.resolve()).then(() => 'ended', messageOf)
}

describe('a gateway whose lease is lost', () => {
  it.each([
    ['stores no dead letter', 0],
    ['drops no dead letter beyond the quota', 1],
  ])('G-13: %s, so that the broker delivers the message again', async (_, failed) => {
    const broker = await ScriptedBroker.start('serve')
    onTestFinished(() => broker[Symbol.asyncDispose]())
    broker.onSubscribed = (connection) => {
      // Of several subscriptions, the first one.
      broker.onSubscribed = () => undefined
      connection.publish(1, { topic: TOPIC, payload: JSON.stringify(CHIRPSTACK_UPLINK) })
    }
    const acknowledged = new Promise((resolve) => (broker.onAcknowledged = () => resolve('acknowledged')))
    const ended = runUntilLost(broker, new TestLease(), failed)
    expect(await Promise.race([ended, acknowledged])).toBe(LOST)
    expect(await letters()).toBe(0)
  })

  it('G-13: does not send a dead letter that waits for its turn', async () => {
    const producer = createProducer(client, { maxInFlight: 1 })
    const lease = new TestLease()
    const refused = new RefusedMessages(client, producer, new DeadLetterQuota(0, client.logger))
    const { signal } = new AbortController()
    const letter = {
      service: 'test',
      stream: 'raw_envelopes',
      subject: TOPIC,
      body: Buffer.from('x'),
      reason: 'r',
      cause: 'c',
    }
    const store = (messageId: string) =>
      refused.store('o1', { ...letter, messageId, assertSendable: lease.assertOwned }, signal)
    const results = Promise.allSettled([store('sent'), store('waiting')])
    lease.isHeld = false
    expect(await results).toEqual([
      { status: 'fulfilled', value: undefined },
      { status: 'rejected', reason: new GatewayNotOwned(LOST) },
    ])
    expect(await letters()).toBe(1)
    // Others are stored, as the failure was not that of NATS.
    lease.isHeld = true
    await store('later')
    expect(await letters()).toBe(2)
  })
})
