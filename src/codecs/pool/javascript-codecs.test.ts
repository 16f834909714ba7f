import { expect, it, onTestFinished } from 'vitest'
import { evaluationWorkerUrl } from '../../../test/rig/program.ts'
import { EvaluationPool } from './evaluation-pool.ts'
import type { WorkerFailure } from './evaluation-scheduler.ts'

async function startPool() {
  const lost: WorkerFailure[] = []
  const pool = new EvaluationPool({
    workerUrl: evaluationWorkerUrl,
    onWorkerLost: (failure) => lost.push(failure),
    limits: { timeLimitMs: 250 },
  })
  onTestFinished(() => pool[Symbol.asyncDispose]())
  await pool.start()
  const decode = async (organizationId: string, body: string, byte: number) =>
    await pool.evaluate({
      organizationId,
      codec: { kind: 'javascript', source: `function decodeUplink({ bytes, fPort }) { ${body} }` },
      payload: Uint8Array.of(byte),
      context: { receivedAt: 0n, uplink: { fPort: 3 } },
    })
  return { decode, lost }
}

it('P-3: the worker ends a codec that does not end, and decodes the next payload', async () => {
  const { decode, lost } = await startPool()
  const endlessFor1 = 'while (bytes[0] === 1); return { data: { fPort }, warnings: ["w"] }'
  expect([await decode('a', endlessFor1, 1), await decode('a', endlessFor1, 0), lost]).toEqual([
    { ok: false, reason: 'the codec ran longer than 250 ms', exceeded: 'time' },
    { ok: true, data: { fPort: 3 }, warnings: ['w'], size: expect.any(Number) },
    [],
  ])
})

/** Built-in functions of QuickJS that run long without calling its interrupt handler. */
const UNINTERRUPTED = [
  'try { [].includes.call({ length: 2 ** 53 }, 1) } catch {} return { data: {} }',
  'const list = []; list.length = 2 ** 32 - 1; return { data: { a: list.join("") } }',
  'return { data: { a: "a".repeat(2 ** 22).indexOf("a".repeat(2 ** 21) + "b") } }',
]

it.for(UNINTERRUPTED)('the watchdog ends %s, and the next payload is decoded', async (body) => {
  const { decode, lost } = await startPool()
  const endlessFor1 = `if (bytes[0] === 0) return { data: { a: 1 } }; ${body}`
  expect(await decode('a', endlessFor1, 1)).toMatchObject({ ok: false, reason: expect.stringContaining('250 ms') })
  expect(new Set(lost)).toEqual(new Set(['time']))
  expect(await decode('b', endlessFor1, 0)).toMatchObject({ ok: true, data: { a: 1 } })
})

it.for([
  ['for (;;);', /^the codec ran longer than 250 ms, several times in succession; it is quarantined until 20.*Z/],
  ['return "x".repeat(2 ** 25)', /^the codec used more than 16 MB of memory, several times in succession; /],
  ['return decodeUplink({ bytes })', /^the codec exceeded the stack: .*, several times in succession; /],
] as const)('P-3: %s is quarantined in its organization after three payloads', async ([body, quarantined]) => {
  const { decode } = await startPool()
  const reasons: string[] = []
  for (let byte = 0; byte < 4; byte++) {
    const answer = await decode('a', body, byte)
    if ('reason' in answer) reasons.push(answer.reason)
  }
  expect(reasons).toHaveLength(4)
  expect(reasons.findIndex((reason) => reason.includes('quarantined'))).toBe(3)
  expect(reasons[3]).toMatch(quarantined)
  expect(await decode('b', body, 0)).toMatchObject({ reason: reasons[0] })
})

it('P-3: slow, endless and greedy codecs of one organization fail no payload of nine others', async () => {
  const { decode } = await startPool()
  const hostile = [
    ...UNINTERRUPTED.slice(0, 1),
    'for (;;);',
    'const kept = []; for (;;) kept.push(new Uint8Array(1e6))',
    'let sum = 0; for (let i = 0; i < 1e5; i++) sum += i; return { data: { sum } }',
    'return { data: Array.from({ length: 1e6 }, (_, i) => i) }',
    'return decodeUplink({ bytes })',
  ]
  const attacks = Array.from({ length: 5 }, (_, byte) => hostile.map((body) => decode('hostile', body, byte))).flat()
  const good = Array.from({ length: 900 }, (_, index) =>
    decode(`organization ${index % 9}`, `return { data: { value: bytes[0] + ${index % 9} } }`, index % 200),
  )
  expect(await Promise.all(good)).toEqual(
    good.map((_, index) => ({ ok: true, data: { value: (index % 200) + (index % 9) }, size: expect.any(Number) })),
  )
  const failed = (await Promise.all(attacks)).filter(({ ok }) => !ok)
  expect(failed.length).toBeGreaterThanOrEqual(25)
})
