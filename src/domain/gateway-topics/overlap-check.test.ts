import { describe, expect, it } from 'vitest'
import type { Gateway, JsonObject } from '../entities.ts'
import { checkOverlaps } from './overlap-check.ts'

const gateway = (gatewayType: string, gatewayConfig: JsonObject, gatewayId = 'g1'): Gateway => ({
  gatewayId,
  organizationId: 'o1',
  name: '',
  gatewayType,
  gatewayConfig,
  status: 'active',
  createdAt: 0n,
  updatedAt: 0n,
  deletedAt: null,
})

async function* pages(...gateways: readonly Gateway[]): AsyncIterable<readonly Gateway[]> {
  for (const each of gateways) yield [each]
}

describe('G-16: gateways of an organization that receive the same messages', () => {
  it('are refused with both topics, shortened, and the other id', async () => {
    const topic = `o1/${'x'.repeat(10_000)}`
    const refused = checkOverlaps(gateway('mqtt', { host: 'b', topic }), null, () =>
      pages(gateway('mqtt', { host: 'b' }, 'g2')),
    )
    const message =
      /^gateway_config: topic filter o1\/x{197}… overlaps o1\/\+ of gateway g2 at b:1883, so messages would be stored twice; /
    await expect(refused).rejects.toMatchObject({
      code: 'failed_precondition',
      message: expect.stringMatching(message),
    })
  })

  it('are not refused for an update that changes nothing of what the gateway receives', async () => {
    const before = gateway('mqtt', { host: 'b' })
    const others = () => pages(gateway('mqtt', { host: 'b' }, 'g2'))
    const change = { host: 'B', password: 'new' }
    await expect(checkOverlaps(gateway('emqx', change), before, others)).resolves.toEqual([])
    await expect(checkOverlaps(gateway('mqtt', { host: 'b', topic: '#' }), before, others)).rejects.toThrow('g2')
    await expect(checkOverlaps(before, null, () => pages(before))).resolves.toEqual([])
  })

  it.each([
    ['another user', { host: 'b', username: 'u' }, 'o1/+ at b:1883'],
    ['another user and TLS', { broker_url: 'mqtts://b', username: 'u' }, 'o1/+ at b:8883'],
    ['the default port of TLS', { broker_url: 'mqtts://b' }, 'o1/+ at b:8883'],
  ])('are accepted with a warning that has the other id and the remedy, if one has %s', async (_, config, place) => {
    const others = () =>
      pages(gateway('mqtt', config, 'g2'), gateway('mqtt', { host: 'b', topic: '+/d1', port: 1 }, 'g3'))
    expect(await checkOverlaps(gateway('mqtt', { host: 'b', topic: '#' }), null, others)).toEqual([
      `the gateway may receive the same messages as gateway g2, so messages are stored twice: topic filter # at b:1883 overlaps ${place}; choose another topic or application_id, or delete one of them, unless their users read different topics`,
    ])
  })

  it('are accepted with a warning if both brokers are the machine itself', async () => {
    const others = () => pages(gateway('mqtt', { host: 'localhost' }, 'g2'))
    expect(await checkOverlaps(gateway('mqtt', { host: '127.0.0.1' }), null, others)).toEqual([
      expect.stringContaining('gateway g2, so messages are stored twice: topic filter o1/+ at 127.0.0.1:1883 overlaps'),
    ])
  })

  it('are warned of for an update that changes what the gateway receives only', async () => {
    const before = gateway('mqtt', { host: 'b' })
    const others = () => pages(gateway('mqtt', { host: 'b', username: 'u' }, 'g2'))
    expect(await checkOverlaps(gateway('mqtt', { host: 'b', retained: true }), before, others)).toEqual([])
    expect(await checkOverlaps(gateway('mqtt', { host: 'b', topic: '#' }), before, others)).toHaveLength(1)
  })

  it('are at most ten warnings, and a note that there are more', async () => {
    const others = Array.from({ length: 12 }, (_, number) =>
      gateway('mqtt', { host: 'b', username: 'u' }, `other${number}`),
    )
    const warnings = await checkOverlaps(gateway('mqtt', { host: 'b' }), null, () => pages(...others))
    expect(warnings).toHaveLength(11)
    expect(warnings[9]).toContain('gateway other9')
    expect(warnings[10]).toMatch(/^further gateways of the organization may receive the same messages/)
    const ten = await checkOverlaps(gateway('mqtt', { host: 'b' }), null, () => pages(...others.slice(2)))
    expect(ten).toHaveLength(10)
  })
})
