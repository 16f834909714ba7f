import { readdirSync } from 'node:fs'
import { getPriority } from 'node:os'
import { describe, expect, it, onTestFinished } from 'vitest'
import { evaluationWorkerUrl } from '../../../test/rig/program.ts'
import { EvaluationPool } from './evaluation-pool.ts'
import type { EvaluationPoolOptions } from './evaluation-pool.ts'
import type { TaskResult, WorkerFailure } from './evaluation-scheduler.ts'
import { celCodec } from '../../../test/rig/adapters/cel-codec.ts'

const payload = Uint8Array.from(Buffer.from('006700FF01688202732795', 'hex'))
const LPP = 'cayenne_lpp_decode(input)'
const DECODED = { temperature_0: 25.5, humidity_1: 65, barometer_2: 1013.3 }

const NUMBERS = `[${Array.from({ length: 400 }, () => '0').join(',')}]`
/** 400 × 400 comparisons of lists of 400: runs for many seconds. */
const ENDLESS = `{"n": ${NUMBERS}.all(a, ${NUMBERS}.all(b, ${NUMBERS} == ${NUMBERS}))}`
/** Keeps a decoded map of hundreds of entries for each of 400 × 400 steps. */
const GREEDY = `{"n": ${NUMBERS}.map(a, ${NUMBERS}.map(b, [cayenne_lpp_decode(input), cayenne_lpp_decode(input)]))}`

/** Exceeds the memory limit for 1 MiB, so that its device becomes slow; runs for minutes for 100 kB. */
const GREEDY_OR_ENDLESS = `{"n": size(input) > 500000
  ? ${NUMBERS}.map(a, ${NUMBERS}.map(b, [a, b, a, b, a, b, a, b, a, b, a, b, a, b, a, b, a, b, a, b])).size()
  : ${NUMBERS}.filter(a, ${NUMBERS}.all(b, string(input).matches("^(a|a)*$"))).size()}`
const MEGABYTE = new Uint8Array(1024 * 1024).fill(0x61)
const HOUR_MS = 3_600_000

/** Creates a pool, by default without limits of time, so that the load of the machine does not matter. */
async function startPool(options: Partial<EvaluationPoolOptions> = {}) {
  const lost: WorkerFailure[] = []
  const pool = new EvaluationPool({
    workerUrl: evaluationWorkerUrl,
    onWorkerLost: (failure) => lost.push(failure),
    ...options,
    limits: { timeLimitMs: HOUR_MS, maxQueuedMs: HOUR_MS, ...options.limits },
  })
  onTestFinished(() => pool[Symbol.asyncDispose]())
  await pool.start()
  return { pool, lost }
}

function reasonOf(result: TaskResult): string {
  return 'reason' in result ? result.reason : `expected a failure, got ${JSON.stringify(result)}`
}

/** Returns the priority of every thread of this process. */
function priorities(): readonly number[] {
  return readdirSync('/proc/self/task').map((thread) => getPriority(Number(thread)))
}

const NEIGHBOURS = 1000

describe('P-3: evaluation in worker threads', () => {
  it('P-2: gives each expression the variables of its own envelope', async () => {
    const { pool } = await startPool()
    const sources = ['{"port": f_port, "rssi": has(metadata.rssi), "at": received_at}', LPP]
    const tasks = [1, 2].flatMap((fPort) =>
      sources.map((source) => {
        const context = { receivedAt: BigInt(fPort), uplink: { fPort, metadata: { rssi: -1 } } }
        return pool.evaluate({ organizationId: 'a', codec: celCodec(source), payload, context })
      }),
    )
    tasks.push(pool.evaluate({ organizationId: 'a', codec: celCodec(sources[0] ?? ''), payload }))
    const at = (micros: number) => `1970-01-01T00:00:00${micros === 0 ? '' : `.00000${micros}`}Z`
    expect((await Promise.all(tasks)).map((result) => result.ok && result.data)).toEqual([
      { port: 1, rssi: true, at: at(1) },
      DECODED,
      { port: 2, rssi: true, at: at(2) },
      DECODED,
      { port: 0, rssi: false, at: at(0) },
    ])
  })

  it('returns the result of each of thousands of tasks', async () => {
    const { pool, lost } = await startPool()
    const answers = await Promise.all(
      Array.from({ length: 3000 }, (_, index) =>
        pool.evaluate({
          organizationId: `device ${index % 7}`,
          codec: celCodec(`{"n": ${index}, "t": ${LPP}.temperature_0}`),
          payload,
        }),
      ),
    )
    expect(answers.map((answer) => answer.ok && answer.data)).toEqual(
      Array.from({ length: 3000 }, (_, index) => ({ n: index, t: 25.5 })),
    )
    expect(lost).toEqual([])
    expect(pool.usage).toEqual({ workers: 2, quick: 0, background: 0 })
  })

  it('sends only the payload of a view into a larger buffer', async () => {
    const { pool } = await startPool()
    const buffer = new Uint8Array(100_000).fill(0xee)
    buffer.set(payload, 5000)
    const answer = await pool.evaluate({
      organizationId: 'a',
      codec: celCodec(LPP),
      payload: buffer.subarray(5000, 5000 + payload.length),
    })
    expect(answer).toMatchObject({ ok: true, data: DECODED })
    expect(buffer[0]).toBe(0xee)
  })

  it('stops an expression that does not end and evaluates all others', async () => {
    const { pool, lost } = await startPool({ limits: { timeLimitMs: 250 } })
    const neighbours = Array.from({ length: 100 }, (_, index) =>
      pool.evaluate({ organizationId: `device ${index}`, codec: celCodec(LPP), payload }),
    )
    const bad = pool.evaluate({ organizationId: 'bad', codec: celCodec(ENDLESS), payload })
    const later = Array.from({ length: 100 }, (_, index) =>
      pool.evaluate({ organizationId: `device ${index}`, codec: celCodec(LPP), payload }),
    )
    for (const answer of await Promise.all([...neighbours, ...later]))
      expect(answer).toMatchObject({ ok: true, data: DECODED })
    expect(reasonOf(await bad)).toMatch(/exceeded its time limit of 250 ms twice/)
    expect(lost).toEqual(['time', 'time'])
    expect(await pool.evaluate({ organizationId: 'a', codec: celCodec(LPP), payload })).toMatchObject({
      ok: true,
      data: DECODED,
    })
  })

  it('stops an expression that exceeds the memory limit and evaluates all others', async () => {
    const { pool, lost } = await startPool({ memoryLimitMb: 32, limits: { timeLimitMs: 20_000 } })
    const dense = Uint8Array.from(Array.from({ length: 256 }, (_, channel) => [channel, 102, 1]).flat())
    const bad = pool.evaluate({ organizationId: 'bad', codec: celCodec(GREEDY), payload: dense })
    const others = Array.from({ length: 50 }, (_, index) =>
      pool.evaluate({ organizationId: `device ${index}`, codec: celCodec(LPP), payload }),
    )
    for (const answer of await Promise.all(others)) expect(answer).toMatchObject({ ok: true, data: DECODED })
    expect(reasonOf(await bad)).toMatch(/exceeded its memory limit twice/)
    expect(lost).toEqual(['memory', 'memory'])
  })

  it('keeps a quick worker available while several expressions never end', async () => {
    const never = { timeLimitMs: HOUR_MS, slowMs: HOUR_MS }
    const { pool, lost } = await startPool({ memoryLimitMb: 14, limits: never })
    const names = ['bad 0', 'bad 1', 'bad 2']
    for (const key of names)
      await pool.evaluate({ organizationId: key, codec: celCodec(GREEDY_OR_ENDLESS), payload: MEGABYTE })
    expect(lost).toEqual(names.flatMap(() => ['memory', 'memory']))
    let badAnswers = 0
    for (const key of names) {
      const answered = (): number => badAnswers++
      pool
        .evaluate({ organizationId: key, codec: celCodec(GREEDY_OR_ENDLESS), payload: MEGABYTE.subarray(0, 100_000) })
        .then(answered, answered)
    }
    for (let round = 0; round < 100; round++)
      expect(await pool.evaluate({ organizationId: 'good', codec: celCodec(LPP), payload })).toMatchObject({
        ok: true,
        data: DECODED,
      })
    expect(badAnswers).toBe(0)
    expect(pool.usage).toMatchObject({ quick: 0, background: names.length - 1 })
  })

  it('rejects a source that is too long without starting a worker and evaluates all others', async () => {
    const { pool, lost } = await startPool()
    const source = `{"n": [${'0,'.repeat(1_000_000)}0].size()}`
    const bad = Array.from({ length: 100 }, () =>
      pool.evaluate({ organizationId: 'bad', codec: celCodec(source), payload }),
    )
    const others = Array.from({ length: NEIGHBOURS }, () =>
      pool.evaluate({ organizationId: 'good', codec: celCodec(LPP), payload }),
    )
    expect(pool.usage).toMatchObject({ quick: 0, background: NEIGHBOURS })
    for (const answer of await Promise.all(others)) expect(answer).toMatchObject({ ok: true, data: DECODED })
    for (const answer of await Promise.all(bad))
      expect(reasonOf(answer)).toBe('the expression has 2000017 bytes, at most 4096 are allowed')
    expect(lost).toEqual([])
  })

  it('stops or rejects a result of a million elements and evaluates all others', async () => {
    const { pool } = await startPool()
    const thousand = `[${Array.from({ length: 1000 }, () => '0').join()}]`
    const bad = pool.evaluate({
      organizationId: 'bad',
      codec: celCodec(`{"n":${thousand}.map(a,${thousand})}`),
      payload,
    })
    const others = Array.from({ length: NEIGHBOURS }, () =>
      pool.evaluate({ organizationId: 'good', codec: celCodec(LPP), payload }),
    )
    for (const answer of await Promise.all(others)) expect(answer).toMatchObject({ ok: true, data: DECODED })
    expect(reasonOf(await bad)).toMatch(/the result is larger than 1048576 bytes|exceeded its memory limit/)
  })

  it('lowers the priority of the background worker only', async () => {
    await startPool({ workers: 3 })
    const own = getPriority()
    expect(priorities().filter((priority) => priority !== own)).toEqual([10])
  })

  it('quarantines an expression that was stopped repeatedly', async () => {
    const { pool, lost } = await startPool({ limits: { timeLimitMs: 50 } })
    for (let failure = 0; failure < 3; failure++)
      await pool.evaluate({ organizationId: 'bad', codec: celCodec(ENDLESS), payload })
    expect(lost).toHaveLength(6)
    const answer = await pool.evaluate({ organizationId: 'bad', codec: celCodec(ENDLESS), payload })
    expect(answer).toMatchObject({ ok: false, reason: expect.stringContaining('quarantined') })
    expect(lost).toHaveLength(6)
    expect(await pool.evaluate({ organizationId: 'bad', codec: celCodec(LPP), payload })).toMatchObject({
      ok: true,
      data: DECODED,
    })
  })

  it('matches regular expressions in linear time', async () => {
    const { pool, lost } = await startPool()
    const letters = new Uint8Array(5000).fill(97)
    const source = '{"matches": string(input).matches("^(a+)+$"), "not": (string(input) + "!").matches("^(a|a)*$")}'
    expect(await pool.evaluate({ organizationId: 'a', codec: celCodec(source), payload: letters })).toMatchObject({
      ok: true,
      data: { matches: true, not: false },
    })
    expect(lost).toEqual([])
  })

  it('accepts payloads of 0 bytes and 1 MiB and returns large results', async () => {
    const { pool, lost } = await startPool()
    expect(await pool.evaluate({ organizationId: 'a', codec: celCodec(LPP), payload: new Uint8Array() })).toMatchObject(
      {
        ok: true,
        data: {},
      },
    )
    expect(
      await pool.evaluate({ organizationId: 'a', codec: celCodec('{"n": size(input)}'), payload: MEGABYTE }),
    ).toMatchObject({
      ok: true,
      data: { n: 1_048_576 },
    })
    const text = MEGABYTE.subarray(0, 700_000)
    const large = await Promise.all(
      Array.from({ length: 40 }, () =>
        pool.evaluate({ organizationId: 'a', codec: celCodec('{"s": string(input)}'), payload: text }),
      ),
    )
    for (const answer of large) expect(answer.ok && JSON.stringify(answer.data)).toHaveLength(700_008)
    expect(lost).toEqual([])
  })

  it('B-3: evaluates nothing while 32 MiB of results are not released', async () => {
    const { pool } = await startPool()
    const text = MEGABYTE.subarray(0, 700_000)
    const sizes: number[] = []
    let released = false
    const evaluate = async (): Promise<void> => {
      const answer = await pool.evaluate({
        organizationId: 'a',
        codec: celCodec('{"s": string(input)}'),
        payload: text,
      })
      if (!answer.ok) return
      sizes.push(answer.size)
      if (released) pool.release(answer.size)
    }
    const all = Promise.all(Array.from({ length: 120 }, evaluate))
    const queued = (): number => pool.usage.quick + pool.usage.background
    await expect.poll(() => sizes.length > 0 && sizes.length + queued() === 120).toBe(true)
    const bytes = sizes.reduce((sum, size) => sum + size, 0)
    expect(bytes).toBeGreaterThan(32 * 1024 * 1024)
    // One job per worker was running at the limit.
    expect(bytes).toBeLessThan(36 * 1024 * 1024)
    for (const size of sizes) pool.release(size)
    released = true
    await all
    expect(sizes).toHaveLength(120)
  })

  it.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])(
    'transfers the key %s unchanged',
    async (name) => {
      const { pool } = await startPool()
      const answer = await pool.evaluate({
        organizationId: name,
        codec: celCodec(`{"${name}": {"${name}": 1}, "b": 2}`),
        payload,
      })
      expect(JSON.stringify(answer.ok && answer.data)).toBe(`{"${name}":{"${name}":1},"b":2}`)
      expect(Object.getPrototypeOf({})).not.toHaveProperty('b')
    },
  )

  it('rejects start when the worker program is missing', async () => {
    const pool = new EvaluationPool({ workerUrl: new URL('file:///nowhere/worker.mjs') })
    await expect(pool.start()).rejects.toThrow('an evaluation worker did not start')
    expect(pool.usage.workers).toBe(0)
  })

  it('rejects pending and later evaluations when it is closed', async () => {
    const { pool } = await startPool()
    const waiting = pool.evaluate({ organizationId: 'a', codec: celCodec(ENDLESS), payload })
    const closed = pool[Symbol.asyncDispose]()
    await expect(waiting).rejects.toThrow('closed')
    await closed
    await expect(pool.evaluate({ organizationId: 'a', codec: celCodec(LPP), payload })).rejects.toThrow('closed')
    expect(pool.usage.workers).toBe(0)
  })
})
