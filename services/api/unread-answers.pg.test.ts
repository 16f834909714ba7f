import { once } from 'node:events'
import { connect, constants, type ClientHttp2Session } from 'node:http2'
import { create, toBinary } from '@bufbuild/protobuf'
import { status as Status } from '@grpc/grpc-js'
import { expect, test } from 'vitest'
import { GatewayService, ListGatewaysRequestSchema } from '../../src/proto/gen/ponix/gateway/v1/gateway_pb.ts'
import { apiForAll } from '../../test/rig/services/api.ts'

const CALLS = 28
const rig = apiForAll()

const ANSWERED = -1

/** A client of a connection without room for data. */
class UnreadingClient {
  readonly #session: ClientHttp2Session

  constructor(address: string) {
    this.#session = connect(`http://${address}`, { settings: { initialWindowSize: 0 } })
    this.#session.on('error', () => undefined)
  }

  /** Requests pages of gateways, one after the other; returns the statuses of the calls without an answer. */
  async call(organizationId: string): Promise<readonly number[]> {
    const statuses: number[] = []
    for (let index = 0; index < CALLS; index += 1) statuses.push(await this.#listGateways(organizationId))
    return statuses
  }

  close(): void {
    this.#session.destroy()
  }

  async #listGateways(organizationId: string): Promise<number> {
    const message = toBinary(ListGatewaysRequestSchema, create(ListGatewaysRequestSchema, { organizationId }))
    const frame = Buffer.alloc(5 + message.length)
    frame.writeUInt32BE(message.length, 1)
    frame.set(message, 5)
    const stream = this.#session.request({
      [constants.HTTP2_HEADER_METHOD]: 'POST',
      [constants.HTTP2_HEADER_PATH]: `/${GatewayService.typeName}/ListGateways`,
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    stream.on('error', () => undefined)
    stream.end(frame)
    // A refusal has only trailers; an answer has headers, and then data.
    const [headers] = await once(stream, 'response')
    return Number(headers['grpc-status'] ?? ANSWERED)
  }
}

test('B-2, A-5: answers of 3 MB that a client does not read are bounded in bytes, and other clients get theirs', async () => {
  const organizationId = await rig.newOrganization()
  const config = JSON.stringify({ text: 'x'.repeat(65_000) })
  for (let index = 0; index < 50; index += 1) await rig.newGateway(organizationId, config)
  const first = new UnreadingClient(rig.api.address)
  const outcomes = await first.call(organizationId)
  const answers = outcomes.filter((outcome) => outcome === ANSWERED).length
  expect(answers).toBeGreaterThan(0)
  expect(answers).toBeLessThan(CALLS)
  expect(outcomes).toEqual(Array.from(outcomes, (_, n) => (n < answers ? ANSWERED : Status.UNAVAILABLE)))

  const page = await rig.api.client.call(GatewayService.method.listGateways, { organizationId })
  expect(page.gateways.length).toBeGreaterThan(0)

  // The room is free again when the connection is closed.
  first.close()
  await expect
    .poll(async () => {
      const next = new UnreadingClient(rig.api.address)
      const again = await next.call(organizationId)
      next.close()
      return again
    })
    .toEqual(outcomes)
})
