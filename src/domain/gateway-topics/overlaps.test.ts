import { describe, expect, it } from 'vitest'
import { findOverlaps, overlapText, type ReceivingGateway } from './overlaps.ts'

interface Case {
  readonly host?: string
  readonly port?: number
  readonly user?: string
  readonly topic?: string
  readonly at?: string
  readonly organization?: string
}

function gateway(gatewayId: string, { host = 'b', port = 1883, user = 'u', topic = 'o/+', ...rest }: Case) {
  const connectedTo = rest.at === undefined ? null : { address: rest.at, port }
  const subscription = { host, port, user, topicFilter: topic }
  return { gatewayId, organizationId: rest.organization ?? 'o', subscription, connectedTo }
}

/** Returns the pairs of gateways that overlap, by their numbers. */
function pairs(...cases: readonly Case[]): readonly string[] {
  const gateways = cases.map((each, index) => gateway(String(index), each))
  return [...findOverlaps(gateways)].flatMap(([own, other]) =>
    other === null ? [] : `${own.gatewayId}-${other.gatewayId}`,
  )
}

const BOTH = ['0-1', '1-0']

describe('G-16: gateways that may receive the same messages', () => {
  it.each<readonly [string, Case, Case]>([
    ['have one broker and user', {}, { topic: 'o/d1' }],
    ['have another user', {}, { user: 'v' }],
    ['have a broker with and without TLS', {}, { port: 8883 }],
    ['are connected to one address', { host: 'a', at: '10.0.0.1' }, { host: 'b', at: '10.0.0.1' }],
    ['have the address to which the other one is connected', { host: 'a', at: '10.0.0.1' }, { host: '10.0.0.1' }],
    ['are connected to IPv4 in IPv6', { host: 'a', at: '::ffff:10.0.0.1' }, { host: '10.0.0.1' }],
    ['are connected to IPv6', { host: 'a', at: '2001:db8::1' }, { host: '[2001:db8::1]' }],
    ['have the machine itself as broker', { host: 'localhost' }, { host: '127.0.0.1' }],
    ['have it as broker by name and by IPv6', { host: 'mqtt.localhost' }, { host: '[::1]' }],
    ['are connected to the machine itself', { host: 'localhost', at: '::1' }, { host: '127.0.0.1' }],
  ])('%s', (_title, a, b) => {
    expect([pairs(a, b), pairs(b, a)]).toEqual([BOTH, BOTH])
  })

  it.each<readonly [string, Case, Case]>([
    ['another topic', {}, { topic: 'p/+' }],
    ['another organization', {}, { organization: 'p' }],
    ['another port', {}, { port: 1884 }],
    ['another host, without a connection', {}, { host: 'c' }],
    ['another address', { host: 'a', at: '10.0.0.1' }, { host: 'b', at: '10.0.0.2' }],
    ['another port of the same address', { host: 'a', at: '10.0.0.1' }, { host: 'b', at: '10.0.0.1', port: 1884 }],
  ])('are not those with %s', (_title, a, b) => {
    expect([pairs(a, b), pairs(b, a)]).toEqual([[], []])
  })

  it('are found by the connection of a third gateway', () => {
    const third = { host: 'a', at: '10.0.0.1', topic: 'other' }
    expect(pairs({ host: 'a' }, { host: '10.0.0.1' }, third)).toEqual(BOTH)
  })

  it('are found in a broker with several addresses', () => {
    const both = [
      { host: 'a', at: '10.0.0.1', topic: 'other' },
      { host: 'a', at: '10.0.0.2', topic: 'another' },
    ]
    expect(pairs({ host: 'b', at: '10.0.0.1' }, { host: 'c', at: '10.0.0.2' }, ...both)).toEqual(BOTH)
  })

  it('are each found once, however many overlap', () => {
    expect(pairs({ topic: 'a' }, { topic: 'b' }, { topic: '#' })).toEqual(['0-2', '1-2', '2-0'])
  })

  it('are found among 10,000 gateways of an organization without a comparison of all pairs', () => {
    const many = Array.from({ length: 10_000 }, (_, index) => ({ topic: `application/a${index}/device/+/event/up` }))
    // The limit of visited levels would leave the last gateway without a result.
    expect(pairs(...many, { topic: 'application/a9999/#' })).toEqual(['9999-10000', '10000-9999'])
  })
})

describe('G-16: the text of an overlap', () => {
  it.each<readonly [Case, string]>([
    [
      { topic: 'o/#' },
      'receives the same messages as gateway 1, so messages are stored twice: topic filter o/+ at b:1883 overlaps o/# at b:1883',
    ],
    [
      { user: 'v' },
      'may receive the same messages as gateway 1, so messages are stored twice: topic filter o/+ at b:1883 overlaps o/+ at b:1883',
    ],
  ])('says whether it is certain: %j', (its, text) => {
    const [own, other]: readonly ReceivingGateway[] = [gateway('0', {}), gateway('1', its)]
    expect(own && other && overlapText(own, other)).toBe(text)
  })
})
