import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { gateway, GatewayRig, WAIT, type RunningService } from '../../test/rig/services/gateway-rig.ts'
import { startMosquitto } from '../../test/rig/servers.ts'
import { TcpProxy, type ProxiedLink, type ProxyPassage } from '../../test/rig/tcp-proxy.ts'

let rig: GatewayRig

beforeAll(async () => {
  rig = await GatewayRig.start(startMosquitto)
})
afterAll(() => rig[Symbol.asyncDispose]())
beforeEach(() => rig.begin())
afterEach(() => rig.end())

/** So long that a loaded machine does not keep an instance from renewing its leases. */
const LEASES = {
  PONIX_GATEWAY_ORCHESTRATOR_LEASES: 'on',
  PONIX_GATEWAY_ORCHESTRATOR_LEASE_SECS: '8',
  PONIX_GATEWAY_ORCHESTRATOR_SHARDS: '2',
}
const RENEWALS = 4

/** Runs the program with a proxy before NATS. */
async function serveThrough(join: (link: ProxiedLink) => ProxyPassage): Promise<RunningService> {
  const proxy = await TcpProxy.start(rig.nats.url, join)
  onTestFinished(() => proxy[Symbol.asyncDispose]())
  return await rig.serve({ ...LEASES, PONIX_NATS_URL: `nats://127.0.0.1:${proxy.port}` })
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
    let isStuck = false
    await rig.insert(gateway('g0', 1))
    const service = await serveThrough((link) => {
      let isForLeases = false
      return {
        fromClient: (bytes) => {
          isForLeases ||= bytes.includes('"ponix-gateway-orchestrator-leases"')
          if (!isStuck || isForLeases) link.toServer(bytes)
        },
        fromServer: (bytes) => {
          if (!isStuck || isForLeases) link.toClient(bytes)
        },
      }
    })
    await service.until('g0', 'running')
    isStuck = true
    await untilRenewed()
    expect(await service.metric('ponix_gateway_leases_lost_total')).toBe(0)
    expect(service.history('g0')).toEqual(['running (print)'])
  })
})
