import { afterAll, beforeAll, inject } from 'vitest'
import { TestApi } from '../../services/api/test-api.ts'
import { TestSchema } from '../../src/postgres/test-schema.ts'
import { EndDeviceService } from '../../src/proto/gen/ponix/end_device/v1/end_device_pb.ts'
import { GatewayService } from '../../src/proto/gen/ponix/gateway/v1/gateway_pb.ts'
import { OrganizationService } from '../../src/proto/gen/ponix/organization/v1/organization_pb.ts'

const { createOrganization } = OrganizationService.method
const { createEndDevice } = EndDeviceService.method
const { createGateway } = GatewayService.method

interface ApiRig {
  readonly schema: TestSchema
  readonly api: TestApi
  /** Each makes a thing by the api, and resolves to its id. */
  readonly newOrganization: (name?: string) => Promise<string>
  readonly newDevice: (organizationId: string) => Promise<string>
  readonly newGateway: (organizationId: string, gatewayConfig?: string) => Promise<string>
}

/** For a file of tests: one api on one PostgreSQL schema for all of it. Both are there from its `beforeAll` on. */
export function apiForAll(): ApiRig {
  let schema: TestSchema
  let api: TestApi
  beforeAll(async () => {
    schema = await TestSchema.create(inject('postgres'))
    api = await TestApi.start(schema.options)
  })
  afterAll(async () => {
    await api[Symbol.asyncDispose]()
    await schema[Symbol.asyncDispose]()
  })
  return {
    get schema() {
      return schema
    },
    get api() {
      return api
    },
    newOrganization: async (name = 'Acme') => {
      const { organization } = await api.client.call(createOrganization, { name })
      return organization?.id ?? ''
    },
    newDevice: async (organizationId) => {
      const { endDevice } = await api.client.call(createEndDevice, { organizationId, name: 'Sensor' })
      return endDevice?.deviceId ?? ''
    },
    newGateway: async (organizationId, gatewayConfig = '') => {
      const { gateway } = await api.client.call(createGateway, { organizationId, gatewayType: 'print', gatewayConfig })
      return gateway?.gatewayId ?? ''
    },
  }
}
