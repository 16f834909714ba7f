import { toBinary } from '@bufbuild/protobuf'
import { describe, expect, it } from 'vitest'
import { MappingError } from '../../src/domain/errors.ts'
import { gatewayToProto } from '../../src/proto/entities.ts'
import { GatewaySchema } from '../../src/proto/gen/ponix/gateway/v1/gateway_pb.ts'
import { gatewayEventOf } from './gateway-service.ts'

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

describe('gatewayEventOf', () => {
  it('G-6: maps the events of cdc to the domain', () => {
    expect(gatewayEventOf({ subject: 'gateway.create', body })).toEqual({ type: 'created', gateway })
    expect(gatewayEventOf({ subject: 'gateway.update', body })).toEqual({ type: 'updated', gateway })
    expect(gatewayEventOf({ subject: 'gateway.delete', body })).toEqual({
      type: 'deleted',
      gatewayId: 'g1',
      version: 2n,
    })
  })

  it('G-11: rejects an invalid body and an unknown subject', () => {
    expect(() => gatewayEventOf({ subject: 'gateway.create', body: Buffer.from('garbage') })).toThrow(MappingError)
    expect(() => gatewayEventOf({ subject: 'gateway.vanish', body })).toThrow('unknown gateway event gateway.vanish')
  })
})
