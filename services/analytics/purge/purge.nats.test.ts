import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { Terminal } from '../../../test/rig/orchestrator/terminal.ts'
import { builtProgram, type Outcome, Program, projectRoot } from '../../../test/rig/program.ts'
import { ORGANIZATION, PAYLOAD, type Pipeline, startPipeline } from '../../../test/rig/services/pipeline.ts'
import { BundleQueue } from '../../../src/nats/bundle-queue.ts'
import { publishDeadLetter, publishRefused } from '../../../src/nats/dead-letters.ts'
import { DeferredMessages } from '../../../src/nats/deferred-messages.ts'
import type { Delivery } from '../../../src/nats/delivery.ts'
import { createProducer } from '../../../src/nats/publisher/producer.ts'
import { decodeBundle, encodeBundle } from '../../../src/proto/bundle.ts'
import { decodeRawEnvelope, encodeProcessedEnvelope, encodeRawEnvelope } from '../../../src/proto/envelope.ts'
import type { Amount } from './device-data.ts'

const signal = new AbortController().signal
const START = 1_767_323_045_000_000n
/** The envelopes of each device in each place. */
const COUNT = 3

let pipeline: Pipeline
let queue: BundleQueue
let run = 0
/** The devices of a test: one to purge, and one of which nothing may be deleted. */
let [device, other] = ['', '']

beforeAll(async () => {
  pipeline = await startPipeline()
  queue = new BundleQueue(pipeline.nats, {
    stream: 'surplus_envelopes',
    prefix: 'surplus_envelopes',
    encode: encodeBundle,
    decode: decodeBundle,
  })
}, 120_000)
afterAll(() => pipeline.stop())

beforeEach(async () => {
  run += 1
  device = `device-${run}`
  other = `other-${run}`
  await pipeline.createDevice(device)
  await pipeline.createDevice(other)
  await fill()
})

function rawOf(endDeviceId: string, number: number, organizationId = ORGANIZATION): Uint8Array {
  return encodeRawEnvelope({ organizationId, endDeviceId, payload: PAYLOAD, receivedAt: START + BigInt(number) })
}

function deliveryOf(endDeviceId: string, number: number): Delivery & { headerBlock: Uint8Array } {
  const place = {
    streamSequence: run * 1000 + number + (endDeviceId === device ? 100 : 200),
    storedAtMs: 1,
    attempt: 1,
  }
  const headers = { header: () => undefined, headers: () => ({}), headerBlock: new Uint8Array() }
  return { subject: `raw_envelopes.${endDeviceId}`, body: rawOf(endDeviceId, number), ...place, ...headers }
}

/** Stores data of both devices in each place, in bundles with envelopes of both. */
async function fill(): Promise<void> {
  const producer = createProducer(pipeline.nats)
  const deferred = new DeferredMessages(pipeline.nats, 'deferred_envelopes')
  const consumer = { service: 'analytics', stream: 'raw_envelopes', durable: 'analytics-raw' }
  for (const id of [device, other]) {
    for (let number = 0; number < COUNT; number += 1) {
      const messageId = `${id}-${number}`
      const occurredAt = START + BigInt(number)
      const ids = { organizationId: ORGANIZATION, endDeviceId: id }
      const envelope = { ...ids, occurredAt, processedAt: occurredAt, data: { a: number } }
      const delivery = deliveryOf(id, number)
      await producer.publish({ subject: `raw_envelopes.${id}`, body: rawOf(id, number), messageId })
      const body = encodeProcessedEnvelope(envelope)
      await producer.publish({ subject: `processed_envelopes.${id}`, body, messageId })
      await deferred.add(`deferred_envelopes.${ORGANIZATION}`, delivery, 'raw_envelopes')
      await publishDeadLetter(producer, consumer, delivery, { reason: 'a test', cause: 'test' }, signal)
      await pipeline.writer.write([{ envelope, envelopeId: messageId }], signal)
    }
  }
  const numbers = Array.from({ length: COUNT }, (_, number) => number)
  await queue.add(
    ORGANIZATION,
    numbers.flatMap((number) => [deliveryOf(device, number), deliveryOf(other, number)]),
  )
  await pipeline.lastSeenStore.record(
    new Map([
      [device, { heardAt: START, seenAt: START, failure: null }],
      [other, { heardAt: START, seenAt: START, failure: null }],
    ]),
  )
  producer.close()
}

async function purge(...args: readonly string[]): Promise<Outcome> {
  const env = { PATH: process.env['PATH'], ...pipeline.variables }
  return await new Program(process.execPath, [builtProgram('analytics'), 'purge', ...args], { env }).outcome
}

/** Returns the items in each place, as a preview counts them. */
async function found(...args: readonly string[]): Promise<Readonly<Record<string, number>>> {
  const { stdout } = await purge('--json', ...args)
  const answer = JSON.parse(stdout) as { found: Readonly<Record<string, Amount>> }
  return Object.fromEntries(Object.entries(answer.found).map(([name, { items }]) => [name, items]))
}

function everywhere(items: number, lastSeen: number): Readonly<Record<string, number>> {
  const streams = ['dead_letters', 'raw_envelopes', 'deferred_envelopes', 'surplus_envelopes', 'processed_envelopes']
  return { ...Object.fromEntries([...streams, 'rows'].map((name) => [name, items])), last_seen: lastSeen }
}

async function rowsOf(id: string): Promise<unknown> {
  const text = 'SELECT toUInt32(count()) AS rows FROM processed_envelopes WHERE end_device_id = {id: String}'
  return (await pipeline.query<{ rows: number }>(text, { id }))[0]?.rows
}

describe('ponix-analytics purge', () => {
  test('deletes the data of a device in every place, and nothing of others in the same bundles', async () => {
    const purged = await purge('--device', device, '--yes')
    expect(purged).toMatchObject({ code: 0, stderr: '' })
    expect(purged.stdout).toMatch(/^Data of device device-\d+:\n(  \w+ +\d+, \d+ bytes\n){7}Deleted\./)
    expect(await found('--device', device)).toEqual(everywhere(0, 0))
    expect([await rowsOf(device), await rowsOf(other)]).toEqual([0, COUNT])
    expect(await found('--device', other)).toEqual(everywhere(COUNT, 1))
    const left: string[] = []
    for await (const { body, streamSequence } of queue.messages()) {
      const { endDeviceId } = decodeRawEnvelope(body)
      if ([device, other].includes(endDeviceId)) left.push(`${endDeviceId} ${streamSequence}`)
    }
    expect(left).toEqual([0, 1, 2].map((number) => `${other} ${deliveryOf(other, number).streamSequence}`))
  })

  test('deletes the data of a device that no longer exists', async () => {
    await pipeline.endDevices.delete(device)
    expect(await found('--device', device)).toEqual(everywhere(COUNT, 0))
    expect(await purge('--device', device, '--yes')).toMatchObject({ code: 0, stderr: '' })
    expect(await found('--device', device)).toEqual(everywhere(0, 0))
  })

  test('deletes only the data of one organization if it is named', async () => {
    const producer = createProducer(pipeline.nats)
    const body = rawOf(device, 0, 'former')
    await producer.publish({ subject: `raw_envelopes.${device}`, body, messageId: `former-${run}` })
    producer.close()
    expect(await purge('--device', device, '--organization', 'former', '--yes')).toMatchObject({ code: 0 })
    expect(await found('--device', device)).toEqual(everywhere(COUNT, 1))
    await purge('--device', device, '--organization', ORGANIZATION, '--yes')
    expect(await found('--device', device)).toEqual(everywhere(0, 0))
  })

  test('deletes dead letters of messages that never became envelopes, by their topic', async () => {
    const producer = createProducer(pipeline.nats)
    const subject = `${ORGANIZATION}/${device}`
    const refused = { service: 'gateway', stream: 'raw_envelopes', subject, reason: 'too large', cause: 'test' }
    await publishRefused(producer, { ...refused, body: PAYLOAD, messageId: `refused-${run}` }, signal)
    producer.close()
    expect(await found('--device', device)).toMatchObject({ dead_letters: COUNT + 1 })
    await purge('--device', device, '--yes')
    expect(await found('--device', device)).toEqual(everywhere(0, 0))
  })

  test('without a terminal it counts, deletes nothing and requires --yes', async () => {
    expect(await purge('--device', device)).toEqual({
      code: 2,
      stdout: expect.stringMatching(/^ {2}rows +3, \d+ bytes$/m),
      stderr: 'ponix-analytics: nothing is deleted: confirm with --yes\n',
    })
    expect(await found('--device', device)).toEqual(everywhere(COUNT, 1))
  })

  test('on a terminal it deletes after the answer y, and nothing after another answer', async () => {
    const env = { PATH: process.env['PATH'], ...pipeline.variables }
    const start = (): Terminal =>
      new Terminal(process.execPath, [builtProgram('analytics'), 'purge', '--device', device], {
        cwd: projectRoot,
        env,
      })
    const refused = start()
    await refused.seen(/Delete it\? \[y\/N\]/)
    refused.press('\r')
    await refused.seen(/Nothing is deleted/)
    expect(await refused.exitCode).toBe(0)
    expect(await found('--device', device)).toEqual(everywhere(COUNT, 1))
    const confirmed = start()
    await confirmed.seen(/Delete it\? \[y\/N\]/)
    confirmed.press('y\r')
    await confirmed.seen(/Deleted\./)
    expect(await confirmed.exitCode).toBe(0)
    expect(await found('--device', device)).toEqual(everywhere(0, 0))
  })
})
