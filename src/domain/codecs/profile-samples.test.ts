import { expect, test } from 'vitest'
import type { CodecRunner } from '../ports.ts'
import { assertSamplesPass } from './profile-samples.ts'

/** Runs the samples with a codec that uses this processor time for each; returns the number of runs. */
async function runSamples(count: number, tookMs: number) {
  let runs = 0
  const run = async () => {
    runs += 1
    return { ok: true, data: {}, tookMs } as const
  }
  const runner: CodecRunner = { run, check: run }
  const samples = Array.from({ length: count }, (_, index) => ({ name: `sample ${index}`, payload: '00' }))
  const codec = { kind: 'javascript', source: '' } as const
  const failure = await assertSamplesPass({ organizationId: 'a', codec, samples }, runner).catch(
    (error: unknown) => error,
  )
  return { failure, runs }
}

test('A-4: the samples of a profile may use 5 s of processor time in total', async () => {
  expect(await runSamples(20, 250)).toEqual({ failure: undefined, runs: 20 })
  expect(await runSamples(200, 240)).toEqual({
    failure: expect.objectContaining({
      code: 'invalid_argument',
      message:
        'samples[20] "sample 20": the samples to this one used 5040 ms of processor time, and 5000 ms are allowed; ' +
        'simplify the codec or send fewer samples; skip_samples stores the profile nevertheless',
    }),
    runs: 21,
  })
})
