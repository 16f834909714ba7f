import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, inject, test, vi } from 'vitest'
import { connectTo, ownStream, probeLog } from '../../test/rig/nats-client.ts'
import type { LogProbe } from '../../test/rig/nats-client.ts'
import { startNats } from '../../test/rig/servers.ts'
import type { NatsClient } from './connection.ts'
import { runConsumer } from './consumer.ts'
import type { ConsumerOptions, Delivery, Verdict } from './consumer.ts'
import { DEAD_LETTER_HEADERS } from './dead-letter.ts'
import { natsMetrics } from './metrics.ts'
import { createProducer } from './producer.ts'
import { ensureStreams } from './streams.ts'
import type { StreamDefinition } from './streams.ts'

const ACK: Verdict = { kind: 'ack' }
const DEAD_LETTERS: StreamDefinition = { name: 'dead_letters', subjects: ['dead_letters.>'] }
const DURABLE = 'worker'
const encoder = new TextEncoder()
const decoder = new TextDecoder()

interface Scene extends AsyncDisposable {
  readonly client: NatsClient
  readonly log: LogProbe
  readonly stream: string
  readonly subject: string
  publish(...bodies: readonly string[]): Promise<void>
  /** Runs a consumer of the stream; `stop` tells it to stop and resolves when it has. */
  consume(
    handle: ConsumerOptions['handle'],
    options?: Partial<ConsumerOptions>,
  ): { stop(): Promise<void>; readonly ended: Promise<void> }
}

async function scene(url: string = inject('nats').url): Promise<Scene> {
  const log = probeLog()
  const client = await connectTo(url, log.logger)
  const definition = ownStream()
  await ensureStreams(client, [definition, DEAD_LETTERS])
  const producer = createProducer(client)
  const { name: stream, subject } = definition
  let number = 0
  return {
    client,
    log,
    stream,
    subject,
    async publish(...bodies) {
      await Promise.all(
        bodies.map((body) =>
          producer.publish({ subject: `${subject}.a`, body: encoder.encode(body), messageId: `${stream}-${number++}` }),
        ),
      )
    },
    consume(handle, options = {}) {
      const abort = new AbortController()
      const ended = runConsumer(
        {
          client,
          service: 'test',
          stream,
          durable: DURABLE,
          filterSubject: `${subject}.>`,
          batchSize: 10,
          batchWaitMs: 10,
          retryDelayMs: 20,
          handle,
          ...options,
        },
        abort.signal,
      )
      return {
        ended,
        stop() {
          abort.abort()
          return ended
        },
      }
    },
    [Symbol.asyncDispose]: () => client.drain(),
  }
}

function text(delivery: Delivery): string {
  return decoder.decode(delivery.body)
}

function range(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, index) => String(from + index))
}

/** A promise and what settles it. */
function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => {}
  const promise = new Promise<void>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}

/** A handler that acknowledges all, remembers it, and tells when a number of different bodies has come. */
function recorder(wanted: number) {
  const seen: string[] = []
  const batches: string[][] = []
  const done = deferred()
  const handle = async (batch: readonly Delivery[]): Promise<readonly Verdict[]> => {
    batches.push(batch.map(text))
    seen.push(...batch.map(text))
    if (new Set(seen).size >= wanted) done.resolve()
    return batch.map(() => ACK)
  }
  return { seen, batches, all: done.promise, handle }
}

async function deadLettersOf({ client, stream }: Scene) {
  const { state } = await client.manager.streams.info('dead_letters', { subjects_filter: `dead_letters.${stream}` })
  const count = state.subjects?.[`dead_letters.${stream}`] ?? 0
  if (count === 0) return []
  const last = await client.manager.streams.getMessage('dead_letters', { last_by_subj: `dead_letters.${stream}` })
  return last === null ? [] : [{ count, body: last.string(), header: (name: string) => last.header.get(name) }]
}

async function untilSettled({ client, stream }: Scene): Promise<void> {
  await vi.waitFor(
    async () => {
      const info = await client.manager.consumers.info(stream, DURABLE)
      expect({ unanswered: info.num_ack_pending, waiting: info.num_pending }).toEqual({ unanswered: 0, waiting: 0 })
    },
    { timeout: 20_000, interval: 20 },
  )
}

describe('consumer', () => {
  test('N-3 hands over full batches at once, and a part of one when the wait after its first message is over', async () => {
    await using s = await scene()
    await s.publish(...range(0, 5))
    const record = recorder(5)
    const consumer = s.consume(record.handle, { batchSize: 3, batchWaitMs: 300 })
    const startedAt = performance.now()
    await record.all
    expect(record.batches).toEqual([
      ['0', '1', '2'],
      ['3', '4'],
    ])
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(290)
    await consumer.stop()
  })

  test('N-3 each message has its own verdict: one is acknowledged, one comes again later, one goes to the dead letters', async () => {
    await using s = await scene()
    await s.publish('good', 'shaky', 'bad')
    const attempts = new Map<string, number[]>()
    const handled = deferred()
    const consumer = s.consume(async (batch) => {
      for (const delivery of batch) {
        attempts.set(text(delivery), [...(attempts.get(text(delivery)) ?? []), delivery.attempt])
      }
      if (attempts.get('shaky')?.length === 3) handled.resolve()
      return batch.map((delivery): Verdict => {
        if (text(delivery) === 'bad') return { kind: 'dead_letter', reason: 'not protobuf' }
        if (text(delivery) === 'shaky' && delivery.attempt < 3) return { kind: 'retry', reason: 'not yet' }
        return ACK
      })
    })
    await handled.promise
    await untilSettled(s)
    await consumer.stop()
    expect(Object.fromEntries(attempts)).toEqual({ good: [1], shaky: [1, 2, 3], bad: [1] })
    expect((await deadLettersOf(s)).map(({ count, body }) => ({ count, body }))).toEqual([{ count: 1, body: 'bad' }])
  })

  test('N-3 a handler that throws, or forgets a verdict, loses nothing: the whole batch comes again', async () => {
    await using s = await scene()
    await s.publish(...range(0, 4))
    let calls = 0
    const record = recorder(4)
    const consumer = s.consume(
      async (batch) => {
        calls++
        if (calls === 1) throw new Error('database away')
        if (calls === 2) return [ACK]
        return await record.handle(batch)
      },
      { batchSize: 4, batchWaitMs: 1000 },
    )
    await record.all
    await untilSettled(s)
    await consumer.stop()
    expect([...record.seen].sort()).toEqual(range(0, 4))
    expect(s.log.count('a batch failed and is retried: database away')).toBe(1)
    expect(s.log.count('1 verdicts for 4 messages')).toBe(1)
  })

  test('N-4 after maxDeliver attempts the message is a dead letter that tells where it came from and why', async () => {
    await using s = await scene()
    await s.publish('hopeless')
    const attempts: number[] = []
    const consumer = s.consume(
      async (batch) => {
        attempts.push(...batch.map(({ attempt }) => attempt))
        return batch.map(() => ({ kind: 'retry', reason: 'Gerät\n"π" unknown' }))
      },
      { maxDeliver: 3, service: 'analytics' },
    )
    await s.log.line('dead letter: ')
    await untilSettled(s)
    await consumer.stop()
    expect(attempts).toEqual([1, 2, 3])
    const [letter] = await deadLettersOf(s)
    const original = await s.client.manager.streams.getMessage(s.stream, { seq: 1 })
    const headers = Object.fromEntries(
      Object.entries(DEAD_LETTER_HEADERS).map(([key, name]) => [key, letter?.header(name)]),
    )
    expect(headers).toEqual({
      subject: `${s.subject}.a`,
      stream: s.stream,
      sequence: '1',
      storedAt: String(original?.time.getTime()),
      messageId: `${s.stream}-0`,
      reason: 'Ger\\u00e4t "\\u03c0" unknown',
      attempts: '3',
      service: 'analytics',
      bodyOmitted: '',
    })
    expect(letter?.body).toBe('hopeless')
  })

  test('N-4 a message is terminated only when its dead letter is stored: without a stream for it, it stays', async () => {
    await using server = await startNats()
    await using s = await scene(server.url)
    await s.client.manager.streams.delete('dead_letters')
    await s.publish('bad')
    let handled = 0
    const consumer = s.consume(async (batch) => {
      handled++
      // The service would make the stream again by itself; another one that takes its subjects keeps it from that.
      if (handled === 3) await s.client.manager.streams.delete('hostile')
      return batch.map(() => ({ kind: 'dead_letter', reason: 'no' }))
    })
    await s.client.manager.streams.add({ name: 'hostile', subjects: ['dead_letters.*'], max_msg_size: 1 })
    await s.log.line('dead letter: ')
    await untilSettled(s)
    await consumer.stop()
    expect(s.log.count('cannot store the dead letter, the message is kept')).toBeGreaterThan(0)
    expect((await deadLettersOf(s)).map(({ count, body }) => ({ count, body }))).toEqual([{ count: 1, body: 'bad' }])
  })

  test('N-5 work that takes longer than the deadline extends it, for the batch in hand and for the one behind it', async () => {
    await using s = await scene()
    const extensions: string[] = []
    const extended = deferred()
    const watch = s.client.connection.subscribe(`$JS.ACK.${s.stream}.>`, {
      callback: (_error, message) => {
        if (message.string() !== '+WPI') return
        extensions.push(message.subject)
        // Twelve rounds at a third of the deadline: four deadlines have passed for both messages.
        if (extensions.length === 24) extended.resolve()
      },
    })
    await s.publish('in hand', 'behind')
    const attempts: number[] = []
    const record = recorder(2)
    const consumer = s.consume(
      async (batch) => {
        attempts.push(...batch.map(({ attempt }) => attempt))
        await extended.promise
        return await record.handle(batch)
      },
      { batchSize: 1, ackWaitMs: 1500 },
    )
    await record.all
    await untilSettled(s)
    await consumer.stop()
    watch.unsubscribe()
    expect(attempts).toEqual([1, 1])
  })

  test('N-5 answers that come later hold up nobody, until there are as many of them as may be open', async () => {
    await using s = await scene()
    await s.publish(...range(0, 40))
    const handed: string[] = []
    const gates = Array.from({ length: 40 }, deferred)
    const open = async (index: number): Promise<Verdict> => {
      await gates[index]?.promise
      return ACK
    }
    const handle: ConsumerOptions['handle'] = async (batch) => {
      handed.push(...batch.map(text))
      return batch.map((delivery) => (text(delivery) === '3' ? ACK : open(Number(text(delivery)))))
    }
    const consumer = s.consume(handle, { maxOpen: 25 })
    const info = () => s.client.manager.consumers.info(s.stream, DURABLE)
    const wait = { timeout: 10_000, interval: 20 }
    // Three batches of ten, less the one that is answered at once.
    await vi.waitFor(() => expect(handed).toEqual(range(0, 30)), wait)
    await vi.waitFor(async () => expect((await info()).num_ack_pending).toBe(39), wait)
    for (const index of [29, 11, 12, 13, 14]) gates[index]?.resolve()
    await vi.waitFor(() => expect(handed).toEqual(range(0, 40)), wait)
    const stopped = consumer.stop()
    for (const gate of gates) gate.resolve()
    await stopped
    expect(await info()).toMatchObject({ num_pending: 0, num_ack_pending: 0 })
  })

  test('N-5 while one batch is handled the next one is fetched, and no more than that', async () => {
    await using s = await scene()
    await s.publish(...range(0, 100))
    const release = deferred()
    const record = recorder(100)
    const consumer = s.consume(async (batch) => {
      await release.promise
      return await record.handle(batch)
    })
    const info = () => s.client.manager.consumers.info(s.stream, DURABLE)
    await vi.waitFor(async () => expect((await info()).num_ack_pending).toBe(20), { timeout: 10_000, interval: 20 })
    await s.client.connection.flush()
    expect((await info()).num_ack_pending).toBe(20)
    release.resolve()
    await record.all
    await consumer.stop()
    expect(record.batches.map((batch) => batch.length)).toEqual(Array.from({ length: 10 }, () => 10))
  })

  test('N-6 NATS killed and started again in mid-flow: nothing is lost, and it is said once that it went and came', async () => {
    await using server = await startNats()
    await using s = await scene(server.url)
    await s.publish(...range(0, 300))
    const half = deferred()
    const record = recorder(600)
    const consumer = s.consume(
      async (batch) => {
        if (record.seen.length >= 100) half.resolve()
        return await record.handle(batch)
      },
      // What was acknowledged in the moment of the kill comes again after this.
      { ackWaitMs: 500 },
    )
    await half.promise
    await server.kill()
    await s.log.line('NATS went away')
    const published = s.publish(...range(300, 600))
    await server.start()
    await Promise.all([published, record.all])
    await untilSettled(s)
    await consumer.stop()
    expect([...new Set(record.seen)].sort((a, b) => Number(a) - Number(b))).toEqual(range(0, 600))
    expect((await s.client.manager.streams.info(s.stream)).state.messages).toBe(600)
    expect(s.log.count('NATS went away')).toBe(1)
    expect(s.log.count('NATS is back')).toBe(1)
  })

  test('N-6 the consumer deleted, then the whole stream: both are made again and the flow goes on', async () => {
    await using s = await scene()
    const record = recorder(1)
    const consumer = s.consume(record.handle)
    await s.publish('first')
    await record.all
    await untilSettled(s)
    await s.client.manager.consumers.delete(s.stream, DURABLE)
    await s.publish('second')
    await vi.waitFor(() => expect(record.seen).toContain('second'), { timeout: 10_000, interval: 20 })
    await s.client.manager.streams.delete(s.stream)
    await s.publish('third')
    await vi.waitFor(() => expect(record.seen).toContain('third'), { timeout: 10_000, interval: 20 })
    await consumer.stop()
  })

  test('N-6 a consumer that was deleted goes on behind what was acknowledged, and its lag is told', async () => {
    await using s = await scene()
    await s.publish(...range(0, 50))
    const record = recorder(51)
    const durable = `lag-${s.stream}`
    const consumer = s.consume(record.handle, { durable, observeIntervalMs: 10 })
    const info = () => s.client.manager.consumers.info(s.stream, durable)
    await vi.waitFor(async () => expect((await info()).ack_floor.stream_seq).toBe(50), {
      timeout: 10_000,
      interval: 20,
    })
    // Both are of one answer: with nothing pending either way, it has the newest that was acknowledged.
    const told = async () => {
      const gauges = await Promise.all([natsMetrics.pending.get(), natsMetrics.ackPending.get()])
      return gauges.map(({ values }) => values.find(({ labels }) => labels.durable === durable)?.value)
    }
    await vi.waitFor(async () => expect(await told()).toEqual([0, 0]), { timeout: 10_000, interval: 20 })
    await s.client.manager.consumers.delete(s.stream, durable)
    await s.publish('50')
    await record.all
    await consumer.stop()
    expect(record.seen).toEqual(range(0, 51))
  })

  test.each([
    ['the consumer that was there before', true],
    ['a new one', false],
  ])('N-6 what NATS forgets of the progress when it is killed is known to %s', async (_who, stays) => {
    await using server = await startNats()
    await using s = await scene(server.url)
    await s.publish(...range(0, 50))
    const record = recorder(stays ? 51 : 50)
    const first = s.consume(record.handle, { observeIntervalMs: 10 })
    const kept = () =>
      s.client.manager.streams.getMessage('consumer_progress', {
        last_by_subj: `consumer_progress.${s.stream}.${DURABLE}`,
      })
    await vi.waitFor(async () => expect((await kept())?.json()).toMatchObject({ ackFloor: 50 }), {
      timeout: 10_000,
      interval: 20,
    })
    if (!stays) await first.stop()
    await server.kill()
    const states = await filesLike(server.dataDir, `${s.stream}/obs/${DURABLE}/o.dat`)
    for (const state of states) await rm(state)
    await server.start()
    await s.publish('50')
    const second = stays ? undefined : s.consume(record.handle)
    await vi.waitFor(() => expect(record.seen).toContain('50'), { timeout: 20_000, interval: 20 })
    await untilSettled(s)
    await (second ?? first).stop()
    expect(states).toHaveLength(1)
    expect(record.seen).toEqual(range(0, 51))
    expect(s.log.count('NATS has lost how far worker was')).toBe(1)
  })

  test('N-7 told to stop, it finishes the batch in hand and gives back what waits behind it at once', async () => {
    await using s = await scene()
    await s.publish(...range(0, 20))
    const started = deferred()
    const release = deferred()
    const first = recorder(10)
    const consumer = s.consume(async (batch) => {
      started.resolve()
      await release.promise
      return await first.handle(batch)
    })
    await started.promise
    const info = () => s.client.manager.consumers.info(s.stream, DURABLE)
    await vi.waitFor(async () => expect((await info()).num_ack_pending).toBe(20), { timeout: 10_000, interval: 20 })
    const stopped = consumer.stop()
    release.resolve()
    await stopped
    expect(first.seen).toEqual(range(0, 10))
    expect((await info()).ack_floor.stream_seq).toBe(10)
    const second = recorder(10)
    const next = s.consume(second.handle)
    await second.all
    await next.stop()
    expect(second.seen.sort()).toEqual(range(10, 20))
  })

  test('N-7 a handler that does not end is told to when the time is over, and its messages are not acknowledged', async () => {
    await using s = await scene()
    await s.publish('slow')
    const started = deferred()
    const consumer = s.consume(
      async (_batch, signal) => {
        started.resolve()
        await new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(new Error('out of time')), { once: true })
        })
        return [ACK]
      },
      { stopTimeoutMs: 50 },
    )
    await started.promise
    await consumer.stop()
    expect((await s.client.manager.consumers.info(s.stream, DURABLE)).num_ack_pending).toBe(1)
  })

  test('N-8 two instances share the durable consumer: every message is handled once, by one of them', async () => {
    await using s = await scene()
    await using other = await connectTo(inject('nats').url)
    const both = recorder(400)
    const byFirst: string[] = []
    const bySecond: string[] = []
    const into = (mine: string[]) => async (batch: readonly Delivery[]) => {
      mine.push(...batch.map(text))
      return await both.handle(batch)
    }
    const first = s.consume(into(byFirst))
    const second = s.consume(into(bySecond), { client: other })
    await s.publish(...range(0, 400))
    await both.all
    await untilSettled(s)
    await Promise.all([first.stop(), second.stop()])
    expect(both.seen.toSorted((a, b) => Number(a) - Number(b))).toEqual(range(0, 400))
    expect(byFirst.length).toBeGreaterThan(0)
    expect(bySecond.length).toBeGreaterThan(0)
  })

  test('W-1 a filter outside the stream, and a consumer of another kind, are refused at the start with both sides named', async () => {
    await using s = await scene()
    const outside = s.consume(async () => [], { filterSubject: 'processed.envelopes.>' })
    await expect(outside.ended).rejects.toThrow(
      `consumer worker filters processed.envelopes.>, but stream ${s.stream} has the subjects ${s.subject}.>`,
    )
    await s.client.manager.consumers.add(s.stream, { durable_name: DURABLE, ack_policy: 'explicit' })
    await expect(s.consume(async () => []).ended).rejects.toThrow(
      `consumer worker exists on stream ${s.stream} with filter none (expected ${s.subject}.>)`,
    )
    const nowhere = s.consume(async () => [], { stream: 'nowhere' })
    await expect(nowhere.ended).rejects.toThrow('stream nowhere does not exist')
  })

  test('N-4 a message whose attempts all ended without an answer is tried alone, and in the end not at all', async () => {
    await using s = await scene()
    const { consumers } = s.client.manager
    await consumers.add(s.stream, { durable_name: DURABLE, ack_policy: 'explicit', filter_subject: `${s.subject}.>` })
    const pulls = await s.client.jetstream.consumers.get(s.stream, DURABLE)
    /** Delivers the message so often without an answer; the last delivery is still open. */
    const deliver = async (body: string, times: number) => {
      await s.publish(body)
      for (let attempt = 1; attempt < times; attempt++) (await pulls.next({ expires: 5000 }))?.nak()
      return await pulls.next({ expires: 5000 })
    }
    const open = [await deliver('deadly', 4), await deliver('suspect', 2)]
    for (const message of open) message?.nak()
    await s.publish('neighbour')
    const batches: string[][] = []
    const consumer = s.consume(
      async (batch) => {
        batches.push(batch.map(text))
        return batch.map(() => ACK)
      },
      { maxDeliver: 2, batchSize: 3, batchWaitMs: 1000 },
    )
    await s.log.line('dead letter: delivered 4 times and never answered')
    await untilSettled(s)
    await consumer.stop()
    expect(batches).toEqual([['suspect'], ['neighbour']])
    expect((await deadLettersOf(s)).map(({ count, body }) => ({ count, body }))).toEqual([{ count: 1, body: 'deadly' }])
  })
})

/** The files below a folder whose path ends so. */
async function filesLike(folder: string, end: string): Promise<readonly string[]> {
  const paths = await readdir(folder, { recursive: true })
  return paths.filter((path) => path.endsWith(end)).map((path) => join(folder, path))
}
