import { toBinary } from '@bufbuild/protobuf'
import { describe, expect, it } from 'vitest'
import { MappingError } from '../../src/domain/errors.ts'
import { gatewayToProto } from '../../src/proto/entities.ts'
import { GatewaySchema } from '../../src/proto/gen/ponix/gateway/v1/gateway_pb.ts'
import { gatewayEventOf } from './gateway-event.ts'

const gateway = {
  gatewayId: 'g1',
  organizationId: 'o1',
  name: 'North',
  gatewayType: 'mqtt',
  gatewayConfig: { host: 'b' },
  status: 'active',
  createdAt: 1n,
  updatedAt: 2n,
  deletedAt: null,
} as const
const body = toBinary(GatewaySchema, gatewayToProto(gateway))

const position = { 'Ponix-Lsn': '1/A', 'Ponix-Index': '2', 'Ponix-Transaction-Id': '700' }
const version = { type: 'commit', lsn: 0x1_0000_000an, index: 2, transactionId: 700 } as const

function event(subject: string, content: Uint8Array = body, headers: Readonly<Record<string, string>> = position) {
  return gatewayEventOf({ subject, body: content, header: (name) => headers[name] })
}

describe('gatewayEventOf', () => {
  it('G-6: maps the events of cdc to the domain', () => {
    expect(event('gateway.create')).toEqual({ type: 'stored', gateway, version })
    expect(event('gateway.update')).toEqual({ type: 'stored', gateway, version })
    expect(event('gateway.delete')).toEqual({ type: 'deleted', gatewayId: 'g1', version })
    const none = new Set()
    expect(event('gateway.truncate', new Uint8Array())).toEqual({ type: 'remaining', gatewayIds: none, version })
  })

  it('G-11: rejects an invalid body and an unknown subject', () => {
    expect(() => event('gateway.create', Buffer.from('garbage'))).toThrow(MappingError)
    expect(() => event('gateway.vanish')).toThrow('unknown gateway event gateway.vanish')
  })

  it.each(Object.keys(position))('G-11: rejects an event with an invalid or missing header %s', (name) => {
    const message = `header ${name} of the gateway event`
    for (const value of ['', 'x', '-1']) {
      expect(() => event('gateway.create', body, { ...position, [name]: value })).toThrow(message)
    }
    const others = Object.entries(position).filter(([other]) => other !== name)
    expect(() => event('gateway.create', body, Object.fromEntries(others))).toThrow(message)
  })
})
