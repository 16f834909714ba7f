import { describe, expect, onTestFinished, test } from 'vitest'
import { connectMqttPublisher } from '../../src/mqtt/client.ts'
import { gateway, GatewayRig, WAIT } from '../../test/rig/gateways/gateway-rig.ts'
import type { RunningService } from '../../test/rig/gateways/running-service.ts'
import { startMosquitto } from '../../test/rig/servers.ts'
import { TcpProxy, type ProxiedLink, type ProxyPassage } from '../../test/rig/tcp-proxy.ts'

const rig = GatewayRig.forEach(startMosquitto)

/** So long that a loaded machine does not keep an instance from renewing its leases. */
const LEASES = {
  PONIX_GATEWAY_ORCHESTRATOR_LEASES: 'on',
  PONIX_GATEWAY_ORCHESTRATOR_LEASE_SECS: '8',
  PONIX_GATEWAY_ORCHESTRATOR_SHARDS: '2',
}
const RENEWALS = 4

/** Runs the program with a proxy before NATS. */
async function serveThrough(join: (link: ProxiedLink) => ProxyPassage, more = {}): Promise<RunningService> {
  const proxy = await TcpProxy.start(rig.nats.url, join)
  onTestFinished(() => proxy[Symbol.asyncDispose]())
  return await rig.serve({ ...LEASES, ...more, PONIX_NATS_URL: `nats://127.0.0.1:${proxy.port}` })
}

/** Resolves when a lease has been renewed several times. */
async function untilRenewed(): Promise<void> {
  const revisions = new Set<number>()
  const renewed = async (): Promise<number> => {
    const lease = await rig.client.manager.streams.getMessage('KV_gateway_leases', {
      last_by_subj: '$KV.gateway_leases.shard.0',
    })
    if (lease !== null) revisions.add(lease.seq)
    return revisions.size - 1
  }
  await expect.poll(renewed, WAIT).toBeGreaterThanOrEqual(RENEWALS)
}

/** Keeps the answers of NATS on the connection for messages. */
class MessageGate {
  #isOpen = true
  #kept: (() => void)[] = []

  close(): void {
    this.#isOpen = false
  }

  open(): void {
    this.#isOpen = true
    for (const pass of this.#kept.splice(0)) pass()
  }

  join(link: ProxiedLink): ProxyPassage {
    let isForLeases = false
    return {
      fromClient: (bytes) => {
        isForLeases ||= bytes.includes('"ponix-gateway-orchestrator-leases"')
        link.toServer(bytes)
      },
      fromServer: (bytes) => {
        if (this.#isOpen || isForLeases) link.toClient(bytes)
        else this.#kept.push(() => link.toClient(bytes))
      },
    }
  }
}

describe('the leases of an instance', () => {
  test('G-13: are renewed while JetStream does not say which leases exist', async () => {
    let isSilent = false
    // A request for which nothing is subscribed is rejected; this one has no answer.
    rig.client.connection.subscribe('$JS.APX.>', { callback: () => undefined })
    await rig.insert(gateway('g0', 1))
    const service = await serveThrough((link) => ({
      fromClient: (bytes) => {
        const text = bytes.toString('latin1')
        const sent = isSilent ? text.replaceAll('$JS.API.STREAM.INFO.KV_', '$JS.APX.STREAM.INFO.KV_') : text
        link.toServer(Buffer.from(sent, 'latin1'))
      },
      fromServer: (bytes) => link.toClient(bytes),
    }))
    await service.until('g0', 'running')
    isSilent = true
    await untilRenewed()
    expect(await service.metric('ponix_gateway_leases_lost_total')).toBe(0)
    expect(service.history('g0')).toEqual(['running (print)'])
  })

  test('G-13: are renewed while the connection for messages is stuck', async () => {
    const gate = new MessageGate()
    await rig.insert(gateway('g0', 1))
    const service = await serveThrough((link) => gate.join(link))
    await service.until('g0', 'running')
    gate.close()
    await untilRenewed()
    expect(await service.metric('ponix_gateway_leases_lost_total')).toBe(0)
    expect(service.history('g0')).toEqual(['running (print)'])
  })
  test('G-13, G-10: move to another instance after the messages in flight are stored and acknowledged', async () => {
    const ids = Array.from({ length: 30 }, (_, number) => `g${number}`)
    for (const id of ids) {
      const gatewayConfig = { broker_url: rig.brokerUrl, topic: `o1/${id}` }
      await rig.insert(gateway(id, 1, { gatewayType: 'mqtt', gatewayConfig }))
    }
    const gate = new MessageGate()
    // So many shards that some move.
    const shards = { PONIX_GATEWAY_ORCHESTRATOR_SHARDS: '64' }
    const first = await serveThrough((link) => gate.join(link), shards)
    const running = async (...services: readonly RunningService[]): Promise<number> => {
      const reports = await Promise.all(services.map((service) => service.gateways()))
      return reports.flatMap((own) => Object.values(own)).filter(({ state }) => state === 'running').length
    }
    await expect.poll(() => running(first), WAIT).toBe(ids.length)
    const publisher = await connectMqttPublisher({ brokerUrl: rig.brokerUrl, clientId: 'devices' })
    onTestFinished(() => publisher.close())
    const publish = async (text: string): Promise<void> => {
      await Promise.all(ids.map((id) => publisher.publish(`o1/${id}`, Buffer.from(text))))
    }
    gate.close()
    await publish('in flight')
    await rig.untilStored('raw_envelopes', ids.length)
    const second = await rig.serve({ ...LEASES, ...shards })
    await first.line('releasing shards')
    gate.open()
    await expect.poll(() => running(first, second), WAIT).toBe(ids.length)
    expect(await running(second)).toBeGreaterThan(0)
    // The broker delivers again what is not acknowledged, before this message.
    await publish('next')
    await rig.untilStored('raw_envelopes', 2 * ids.length)
    expect(await second.metric('ponix_gateway_redelivered_total{outcome="suppressed"}')).toBeUndefined()
    expect(await second.metric('ponix_gateway_redelivered_total{outcome="stored"}')).toBeUndefined()
  })
})
