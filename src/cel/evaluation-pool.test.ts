import { readdirSync } from 'node:fs'
import { getPriority } from 'node:os'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { bundleEvaluationWorker } from '../../test/rig/evaluation-worker.ts'
import type { BundledWorker } from '../../test/rig/evaluation-worker.ts'
import { EvaluationPool } from './evaluation-pool.ts'
import type { EvaluationPoolOptions } from './evaluation-pool.ts'
import type { Answer, Death } from './evaluation-scheduler.ts'

const payload = Uint8Array.from(Buffer.from('006700FF01688202732795', 'hex'))
const LPP = 'cayenne_lpp_decode(input)'
const DECODED = { temperature_0: 25.5, humidity_1: 65, barometer_2: 1013.3 }

const NUMBERS = `[${Array.from({ length: 400 }, () => '0').join(',')}]`
/** 400 × 400 comparisons of lists of 400: many seconds of work. */
const ENDLESS = `{"n": ${NUMBERS}.all(a, ${NUMBERS}.all(b, ${NUMBERS} == ${NUMBERS}))}`
/** Keeps a decoded map of hundreds of entries for each of 400 × 400 steps. */
const GREEDY = `{"n": ${NUMBERS}.map(a, ${NUMBERS}.map(b, [cayenne_lpp_decode(input), cayenne_lpp_decode(input)]))}`

/** Greedy with a megabyte, so that it becomes known as one that costs its worker; with 100 kB minutes of work. */
const GREEDY_OR_ENDLESS = `{"n": size(input) > 500000
  ? ${NUMBERS}.map(a, string(input)).size()
  : ${NUMBERS}.filter(a, ${NUMBERS}.all(b, string(input).matches("^(a|a)*$"))).size()}`
const MEGABYTE = new Uint8Array(1024 * 1024).fill(0x61)
const HOUR_MS = 3_600_000

let worker: BundledWorker

beforeAll(async () => {
  worker = await bundleEvaluationWorker()
})

afterAll(async () => {
  await worker[Symbol.asyncDispose]()
})

/** Without a time limit unless the test gives one: how busy the machine is decides nothing. */
async function startPool(options: Partial<EvaluationPoolOptions> = {}) {
  const lost: Death[] = []
  const pool = new EvaluationPool({
    workerUrl: worker.url,
    onWorkerLost: (death) => lost.push(death),
    limits: { timeLimitMs: HOUR_MS },
    ...options,
  })
  onTestFinished(() => pool.close())
  await pool.start()
  return { pool, lost }
}

function reasonOf(answer: Answer): string {
  return answer.ok ? `no reason, but ${JSON.stringify(answer.data)}` : answer.reason
}

/** Of every thread of this process. */
function priorities(): readonly number[] {
  return readdirSync('/proc/self/task').map((thread) => getPriority(Number(thread)))
}

describe('P-3: evaluation in worker threads', () => {
  it('answers each of thousands of tasks for itself', async () => {
    const { pool, lost } = await startPool()
    const answers = await Promise.all(
      Array.from({ length: 3000 }, (_, index) =>
        pool.evaluate({ key: `device ${index % 7}`, source: `{"n": ${index}, "t": ${LPP}.temperature_0}`, payload }),
      ),
    )
    expect(answers.map((answer) => answer.ok && answer.data)).toEqual(
      Array.from({ length: 3000 }, (_, index) => ({ n: index, t: 25.5 })),
    )
    expect(lost).toEqual([])
    expect(pool.usage).toEqual({ workers: 2, quick: 0, slow: 0 })
  })

  it('sends the payload alone, not the buffer that it is a window into', async () => {
    const { pool } = await startPool()
    const buffer = new Uint8Array(100_000).fill(0xee)
    buffer.set(payload, 5000)
    const answer = await pool.evaluate({ key: 'a', source: LPP, payload: buffer.subarray(5000, 5000 + payload.length) })
    expect(answer).toMatchObject({ ok: true, data: DECODED })
    expect(buffer[0]).toBe(0xee)
  })

  it('stops an expression that does not end, and answers all others', async () => {
    const { pool, lost } = await startPool({ limits: { timeLimitMs: 250 } })
    const neighbours = Array.from({ length: 100 }, (_, index) =>
      pool.evaluate({ key: `device ${index}`, source: LPP, payload }),
    )
    const hostile = pool.evaluate({ key: 'hostile', source: ENDLESS, payload })
    const later = Array.from({ length: 100 }, (_, index) =>
      pool.evaluate({ key: `device ${index}`, source: LPP, payload }),
    )
    for (const answer of await Promise.all([...neighbours, ...later]))
      expect(answer).toMatchObject({ ok: true, data: DECODED })
    expect(reasonOf(await hostile)).toMatch(/ran longer than its time limit of 250 ms, twice/)
    expect(lost).toEqual(['time', 'time'])
    expect(await pool.evaluate({ key: 'a', source: LPP, payload })).toMatchObject({ ok: true, data: DECODED })
  })

  it('stops an expression that eats the memory, and answers all others', async () => {
    const { pool, lost } = await startPool({ memoryLimitMb: 32, limits: { timeLimitMs: 20_000 } })
    const dense = Uint8Array.from(Array.from({ length: 256 }, (_, channel) => [channel, 102, 1]).flat())
    const hostile = pool.evaluate({ key: 'hostile', source: GREEDY, payload: dense })
    const others = Array.from({ length: 50 }, (_, index) =>
      pool.evaluate({ key: `device ${index}`, source: LPP, payload }),
    )
    for (const answer of await Promise.all(others)) expect(answer).toMatchObject({ ok: true, data: DECODED })
    expect(reasonOf(await hostile)).toMatch(/needed more memory than it may have, twice/)
    expect(lost).toEqual(['memory', 'memory'])
  })

  it('keeps a quick worker free while several expressions never end', async () => {
    const never = { timeLimitMs: HOUR_MS, slowMs: HOUR_MS }
    const { pool, lost } = await startPool({ memoryLimitMb: 14, limits: never })
    const names = ['hostile 0', 'hostile 1', 'hostile 2']
    for (const key of names) await pool.evaluate({ key, source: GREEDY_OR_ENDLESS, payload: MEGABYTE })
    expect(lost).toEqual(names.flatMap(() => ['memory', 'memory']))
    let hostileAnswers = 0
    for (const key of names) {
      const answered = (): number => hostileAnswers++
      pool.evaluate({ key, source: GREEDY_OR_ENDLESS, payload: MEGABYTE.subarray(0, 100_000) }).then(answered, answered)
    }
    for (let round = 0; round < 100; round++)
      expect(await pool.evaluate({ key: 'good', source: LPP, payload })).toMatchObject({ ok: true, data: DECODED })
    expect(hostileAnswers).toBe(0)
    expect(pool.usage).toMatchObject({ quick: 0, slow: names.length - 1 })
  })

  it('refuses a literal of a million elements before any worker sees it, and answers all others', async () => {
    const { pool, lost } = await startPool()
    const source = `{"n": [${'0,'.repeat(1_000_000)}0].size()}`
    const hostile = Array.from({ length: 100 }, () => pool.evaluate({ key: 'hostile', source, payload }))
    const others = Array.from({ length: 100 }, () => pool.evaluate({ key: 'good', source: LPP, payload }))
    expect(pool.usage).toMatchObject({ quick: 100, slow: 0 })
    for (const answer of await Promise.all(others)) expect(answer).toMatchObject({ ok: true, data: DECODED })
    for (const answer of await Promise.all(hostile))
      expect(reasonOf(answer)).toBe('the expression has 2000017 bytes, at most 4096 are allowed')
    expect(lost).toEqual([])
  })

  it('stops or refuses a result of a million elements, and answers all others', async () => {
    const { pool } = await startPool()
    const thousand = `[${Array.from({ length: 1000 }, () => '0').join()}]`
    const hostile = pool.evaluate({ key: 'hostile', source: `{"n":${thousand}.map(a,${thousand})}`, payload })
    const others = Array.from({ length: 100 }, () => pool.evaluate({ key: 'good', source: LPP, payload }))
    for (const answer of await Promise.all(others)) expect(answer).toMatchObject({ ok: true, data: DECODED })
    expect(reasonOf(await hostile)).toMatch(
      /the result is larger than 1048576 bytes|needed more memory than it may have/,
    )
  })

  it('keeps what is slow or unknown behind all else on the machine: one thread stands back, the others do not', async () => {
    await startPool({ workers: 3 })
    const own = getPriority()
    expect(priorities().filter((priority) => priority !== own)).toEqual([10])
  })

  it('lets an expression rest that was stopped again and again, and costs nothing then', async () => {
    const { pool, lost } = await startPool({ limits: { timeLimitMs: 50 } })
    for (let strike = 0; strike < 3; strike++) await pool.evaluate({ key: 'hostile', source: ENDLESS, payload })
    expect(lost).toHaveLength(6)
    const answer = await pool.evaluate({ key: 'hostile', source: ENDLESS, payload })
    expect(answer).toMatchObject({ ok: false, resting: true })
    expect(lost).toHaveLength(6)
    expect(await pool.evaluate({ key: 'hostile', source: LPP, payload })).toMatchObject({ ok: true, data: DECODED })
  })

  it('matches in linear time what makes a backtracking engine run for ever', async () => {
    const { pool, lost } = await startPool()
    const letters = new Uint8Array(5000).fill(97)
    const source = '{"matches": string(input).matches("^(a+)+$"), "not": (string(input) + "!").matches("^(a|a)*$")}'
    expect(await pool.evaluate({ key: 'a', source, payload: letters })).toMatchObject({
      ok: true,
      data: { matches: true, not: false },
    })
    expect(lost).toEqual([])
  })

  it('takes payloads of no byte and of 1 MB, and returns large results in parts', async () => {
    const { pool, lost } = await startPool()
    expect(await pool.evaluate({ key: 'a', source: LPP, payload: new Uint8Array() })).toMatchObject({
      ok: true,
      data: {},
    })
    expect(await pool.evaluate({ key: 'a', source: '{"n": size(input)}', payload: MEGABYTE })).toMatchObject({
      ok: true,
      data: { n: 1_048_576 },
    })
    const text = MEGABYTE.subarray(0, 700_000)
    const large = await Promise.all(
      Array.from({ length: 40 }, () => pool.evaluate({ key: 'a', source: '{"s": string(input)}', payload: text })),
    )
    for (const answer of large) expect(answer.ok && answer.data['s']).toHaveLength(700_000)
    expect(lost).toEqual([])
  })

  it.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])(
    'brings the key %s across unharmed',
    async (name) => {
      const { pool } = await startPool()
      const answer = await pool.evaluate({ key: name, source: `{"${name}": {"${name}": 1}, "b": 2}`, payload })
      expect(JSON.stringify(answer.ok && answer.data)).toBe(`{"${name}":{"${name}":1},"b":2}`)
      expect(Object.getPrototypeOf({})).not.toHaveProperty('b')
    },
  )

  it('does not start without its program', async () => {
    const pool = new EvaluationPool({ workerUrl: new URL('file:///nowhere/worker.mjs') })
    await expect(pool.start()).rejects.toThrow('an evaluation worker did not start')
    expect(pool.usage.workers).toBe(0)
  })

  it('rejects what waits when it is closed, and what comes after', async () => {
    const { pool } = await startPool()
    const waiting = pool.evaluate({ key: 'a', source: ENDLESS, payload })
    const closed = pool.close()
    await expect(waiting).rejects.toThrow('closed')
    await closed
    await expect(pool.evaluate({ key: 'a', source: LPP, payload })).rejects.toThrow('closed')
    expect(pool.usage.workers).toBe(0)
  })
})
