import { describe, expect, inject, test } from 'vitest'
import { connectTo, ownStream, probeLog, STREAM_ENVIRONMENT } from '../../test/rig/adapters/nats-client.ts'
import { startNats } from '../../test/rig/servers.ts'
import { StartupError } from '../domain/errors.ts'
import type { NatsClient } from './connection.ts'
import { ensureStreams, streamsOf } from './streams.ts'

const streams = streamsOf({
  ...STREAM_ENVIRONMENT,
  PONIX_NATS_STREAM_MAX_AGE_MS: 60_000,
  PONIX_NATS_STREAM_MAX_BYTES: 1_000_000,
  PONIX_NATS_DUPLICATE_WINDOW_MS: 5000,
})

describe('the declaration of streams', () => {
  test('raw envelopes, processed envelopes and dead letters can have age limits of their own', () => {
    const age = { PONIX_NATS_STREAM_MAX_AGE_MS: 60_000, PONIX_NATS_RAW_MAX_AGE_MS: 1000 }
    const ages = (more: object): readonly (readonly [string, number | undefined])[] =>
      streamsOf({ ...STREAM_ENVIRONMENT, ...age, ...more }).map(({ name, maxAgeMs }) => [name, maxAgeMs])
    const common = [
      ['gateways', 60_000],
      ['deferred_envelopes', undefined],
      ['surplus_envelopes', undefined],
    ]
    const [raw, month] = [['raw_envelopes', 1000], 30 * 24 * 3600 * 1000]
    expect(ages({})).toEqual([raw, ['processed_envelopes', 60_000], ...common, ['dead_letters', month]])
    const own = { PONIX_NATS_PROCESSED_MAX_AGE_MS: 0, PONIX_NATS_DEAD_LETTERS_MAX_AGE_MS: 2000 }
    expect(ages(own)).toEqual([raw, ['processed_envelopes', 0], ...common, ['dead_letters', 2000]])
  })

  test('N-1 W-1 creates the six streams with subjects, limits and file storage; a second call changes nothing', async () => {
    await using server = await startNats()
    await using client = await connectTo(server.url)
    await ensureStreams(client, streams)
    await ensureStreams(client, streams)
    const found = []
    for await (const { config } of client.manager.streams.list()) {
      const { name, subjects, storage, max_age, max_bytes, duplicate_window, discard } = config
      found.push({ name, subjects, storage, max_age, max_bytes, duplicate_window, discard })
    }
    const common = {
      storage: 'file',
      max_age: 60_000_000_000,
      max_bytes: 1_000_000,
      duplicate_window: 5_000_000_000,
      discard: 'new',
    }
    expect(found.toSorted((a, b) => a.name.localeCompare(b.name))).toEqual([
      {
        ...common,
        name: 'dead_letters',
        subjects: ['dead_letters.>'],
        max_age: 30 * 24 * 3600 * 1e9,
        duplicate_window: 600 * 1e9,
      },
      {
        ...common,
        name: 'deferred_envelopes',
        subjects: ['deferred_envelopes.*'],
        max_age: 0,
        max_bytes: 500_000_000,
      },
      { ...common, name: 'gateways', subjects: ['gateway.>'] },
      { ...common, name: 'processed_envelopes', subjects: ['processed_envelopes.>'] },
      { ...common, name: 'raw_envelopes', subjects: ['raw_envelopes.>'] },
      {
        ...common,
        name: 'surplus_envelopes',
        subjects: ['surplus_envelopes.*'],
        max_age: 0,
        max_bytes: 1_000_000_000,
      },
    ])
  })

  test('N-1 creates streams without limits, and caps the duplicate window at the age limit', async () => {
    await using client = await connectTo(inject('nats').url)
    const unlimited = { ...ownStream(), maxAgeMs: 0, maxBytes: 0 }
    const short = { ...ownStream(), maxAgeMs: 1000, duplicateWindowMs: 120_000 }
    await ensureStreams(client, [unlimited, short])
    expect((await client.manager.streams.info(unlimited.name)).config).toMatchObject({ max_age: 0, max_bytes: -1 })
    expect((await client.manager.streams.info(short.name)).config).toMatchObject({ duplicate_window: 1_000_000_000 })
  })

  test('N-1 rejects a stream with other subjects, naming both, and does not change it', async () => {
    await using client = await connectTo(inject('nats').url)
    const stream = ownStream()
    await client.manager.streams.add({ name: stream.name, subjects: [`${stream.subject}.*`] })
    const error = await ensureStreams(client, [stream]).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(StartupError)
    expect(String(error)).toContain(
      `stream ${stream.name} exists with the subjects ${stream.subject}.*; expected ${stream.subject}.>`,
    )
    expect((await client.manager.streams.info(stream.name)).config.subjects).toEqual([`${stream.subject}.*`])
  })

  test('N-1 rejects subjects of another stream, naming it', async () => {
    await using client = await connectTo(inject('nats').url)
    const other = ownStream()
    await client.manager.streams.add({ name: other.name, subjects: [`${other.subject}.x`] })
    const stream = { ...ownStream(), subjects: other.subjects }
    await expect(ensureStreams(client, [stream])).rejects.toThrow(
      `cannot create stream ${stream.name} with the subjects ${other.subject}.>: stream ${other.name} already has them; delete it or change its subjects`,
    )
  })

  test('N-1 logs other limits and does not change them', async () => {
    const log = probeLog()
    await using client = await connectTo(inject('nats').url, log.logger)
    const stream = ownStream()
    await ensureStreams(client, [{ ...stream, maxAgeMs: 5000 }])
    await ensureStreams(client, [{ ...stream, maxAgeMs: 9000 }])
    expect((await client.manager.streams.info(stream.name)).config.max_age).toBe(5_000_000_000)
    expect((await log.line('other limits'))['differing']).toMatchObject({
      max_age: { expected: 9_000_000_000, found: 5_000_000_000 },
    })
  })

  test('N-1 works for services that start at the same time', async () => {
    const clients = await Promise.all(Array.from({ length: 4 }, () => connectTo(inject('nats').url)))
    const stream = ownStream()
    const all = clients.map((client, index) => ensureStreams(client, [{ ...stream, maxAgeMs: 1000 + index }]))
    expect(await Promise.allSettled(all)).toEqual(all.map(() => ({ status: 'fulfilled', value: undefined })))
    await Promise.all(clients.map((client) => client.drain()))
  })

  test('B-12 waits until JetStream accepts a stream, and logs the wait once', async () => {
    await using server = await startNats()
    const log = probeLog()
    await using client = await connectTo(server.url, log.logger)
    const stream = { ...ownStream(), maxBytes: 1e9 }
    await reserveAllStorage(client)
    const ensured = ensureStreams(client, [stream])
    await Promise.race([log.line('waiting for JetStream'), ensured])
    await client.manager.streams.delete(LARGE_STREAM)
    await ensured
    expect((await client.manager.streams.info(stream.name)).config.max_bytes).toBe(1e9)
    expect(log.count('waiting for JetStream')).toBe(1)
  })

  test('B-12 reports JetStream, with its reason, if it accepts a stream not in time', async () => {
    await using server = await startNats()
    await using client = await connectTo(server.url, probeLog().logger, 500)
    await reserveAllStorage(client)
    await expect(ensureStreams(client, [{ ...ownStream(), maxBytes: 1e9 }])).rejects.toThrow(
      /^JetStream at 127\.0\.0\.1:\d+ did not answer for 0\.5 s: .*insufficient storage/,
    )
  })
})

const LARGE_STREAM = 'large'

/** Reserves the storage of the embedded server, so that it rejects a further stream with a byte limit. */
async function reserveAllStorage(client: NatsClient): Promise<void> {
  await client.manager.streams.add({ name: LARGE_STREAM, subjects: ['large.>'], max_bytes: 2 ** 40 })
}
