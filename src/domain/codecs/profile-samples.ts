import type { Codec } from './codec.ts'
import { DEFAULT_RECEIVE_TIME, runSample, type SampleExpectation } from './codec-sample.ts'
import type { ProfileExpectation, ProfileSample } from './device-profile.ts'
import type { DomainError } from '../errors.ts'
import { invalid } from '../fields.ts'
import { fromRfc3339 } from '../instant.ts'
import { differenceText } from './json-difference.ts'
import type { CallOptions, CodecOutcome, CodecRunner } from '../ports.ts'

/** A codec with its samples, and the organization in whose share they run. */
export interface SampledCodec {
  readonly organizationId: string
  readonly codec: Codec
  readonly samples: readonly ProfileSample[]
}

/** The processor time of all samples of a profile: less than the wait of a client, which cannot do anything else meanwhile. */
const MAX_TOTAL_MS = 5000

/** Runs the samples one after the other; throws `invalid_argument` that names the first one that fails, and its first difference. */
export async function assertSamplesPass(
  { organizationId, codec, samples }: SampledCodec,
  runner: CodecRunner,
  options?: CallOptions,
): Promise<void> {
  const timed = new TimedRunner(runner)
  for (const [index, { name, payload, receivedAt: time, expected, ...uplink }] of samples.entries()) {
    options?.signal?.throwIfAborted()
    const receivedAt = (time === undefined ? null : fromRfc3339(time)) ?? DEFAULT_RECEIVE_TIME
    const [first, ...others] = await runSample(timed, organizationId, codec, {
      payload: Buffer.from(payload, 'hex'),
      input: { receivedAt, uplink },
      expectation: toExpectation(expected),
    })
    if (timed.totalMs > MAX_TOTAL_MS) throw tooSlow(`samples[${index}] "${name}"`, timed.totalMs)
    if (first === undefined) continue
    const more = others.length === 0 ? '' : `, and ${others.length} more`
    throw invalid(
      `samples[${index}] "${name}": ${differenceText(first)}${more}; skip_samples stores the profile nevertheless`,
    )
  }
}

/** Adds up the processor time of the calls. */
class TimedRunner implements CodecRunner {
  totalMs = 0
  readonly #runner: CodecRunner

  constructor(runner: CodecRunner) {
    this.#runner = runner
  }

  async check(...args: Parameters<CodecRunner['check']>): Promise<CodecOutcome> {
    return await this.#runner.check(...args)
  }

  async run(...args: Parameters<CodecRunner['run']>): Promise<CodecOutcome> {
    const outcome = await this.#runner.run(...args)
    this.totalMs += outcome.tookMs ?? 0
    return outcome
  }
}

function tooSlow(sample: string, totalMs: number): DomainError {
  return invalid(
    `${sample}: the samples to this one used ${Math.round(totalMs)} ms of processor time, and ${MAX_TOTAL_MS} ms are allowed; ` +
      'simplify the codec or send fewer samples; skip_samples stores the profile nevertheless',
  )
}

function toExpectation(expected: ProfileExpectation | undefined): SampleExpectation {
  if (expected === undefined) return { results: [] }
  if ('error' in expected) return { errors: [expected.error] }
  return { results: ['data' in expected ? expected.data : expected.readings] }
}
