import { once } from 'node:events'
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { status as Status } from '@grpc/grpc-js'
import { expect, test } from 'vitest'
import type { StoredEnvelope } from '../../src/domain/telemetry.ts'
import { CsvExports } from './csv-exports.ts'
import type { CallRecord } from './observer.ts'

const envelope = { organizationId: 'org', endDeviceId: 'device', occurredAt: 0n, processedAt: 0n }
const stored: StoredEnvelope = { envelope: { ...envelope, data: { text: 'x'.repeat(1000) } }, envelopeId: '1' }
const batch = Array.from({ length: 64 }, () => stored)

/** Starts a server with one export, whose store is `batches`. */
async function serve(
  batches: (response: () => ServerResponse) => AsyncGenerator<readonly StoredEnvelope[]>,
  idleMs?: number,
) {
  const records: CallRecord[] = []
  let answer: ServerResponse
  const exports = new CsvExports({
    telemetry: { export: () => batches(() => answer) },
    observe: (record) => records.push(record),
    ...(idleMs === undefined ? {} : { idleMs }),
  })
  const server = createServer((request, response) => {
    answer = response
    exports.handle(request, response)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  return { url: `http://127.0.0.1:${port}/v1/organizations/org/envelopes.csv?field=text`, records, server }
}

test('the export reads no more from the store than the client takes', async () => {
  let early = 0
  const { url, server } = await serve(async function* (response) {
    for (let i = 0; i < 200; i++) {
      await nextTurn()
      if (response().writableNeedDrain) early += 1
      yield batch
    }
  })
  const body = await (await fetch(url)).text()
  expect(body.split('\r\n')).toHaveLength(12_802)
  expect(early).toBe(0)
  server.close()
})

test('A-4 the export closes the connection on an unexpected error within a file, and the text is only in the log', async () => {
  const { url, server, records } = await serve(async function* () {
    yield batch
    await nextTurn()
    throw new TypeError('secret')
  })
  const response = await fetch(url)
  await expect(response.text()).rejects.toThrow('terminated')
  expect(records).toMatchObject([{ code: Status.INTERNAL, error: new TypeError('secret'), organizationId: 'org' }])
  server.close()
})

test('A-4 the export answers an unexpected error before the first byte with 500 without its text', async () => {
  // eslint-disable-next-line require-yield
  const { url, server } = await serve(async function* () {
    await nextTurn()
    throw new TypeError('secret')
  })
  const response = await fetch(url)
  expect([response.status, await response.text()]).toEqual([500, 'Internal error\n'])
  server.close()
})

test('the export disconnects a client that stops reading, and ends its query', async () => {
  let open = true
  const endless = async function* () {
    try {
      for (;;) {
        await nextTurn()
        yield batch
      }
    } finally {
      open = false
    }
  }
  const { url, server, records } = await serve(endless, 200)
  const [response]: IncomingMessage[] = await once(get(url), 'response')
  response?.on('error', () => {}).pause()
  await expect.poll(() => records).toMatchObject([{ code: Status.CANCELLED }])
  expect(open).toBe(false)
  server.close()
})

test('the export rejects methods other than GET', async () => {
  const { url, server } = await serve(async function* () {
    yield await Promise.resolve([])
  })
  const response = await fetch(url, { method: 'POST' })
  expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET'])
  expect(await response.text()).toBe('only GET is supported\n')
  server.close()
})
