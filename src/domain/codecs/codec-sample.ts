import type { JsonValue } from '../entities.ts'
import { fromRfc3339, type Instant } from '../instant.ts'
import type { CodecInput, CodecRunner } from '../ports.ts'
import type { Codec } from './codec.ts'
import { jsonDifferences, type Difference } from './json-difference.ts'
import { storedResult } from './reading.ts'

/** The receive time of a sample without one, 2026-01-01T00:00:00Z, so that every run has the same result. */
export const DEFAULT_RECEIVE_TIME = BigInt(Date.UTC(2026, 0)) * 1000n

/** The expected outcome of a codec for one payload. */
export type SampleExpectation =
  /** The codec returns one of these results, or any if there are none; without `warnings`, it may return any warnings. */
  | { readonly results: readonly JsonValue[]; readonly warnings?: readonly string[] | undefined }
  /** The codec fails with a reason that contains each of these texts. */
  | { readonly errors: readonly string[] }

/** The outcome of a codec for one payload. */
export type SampleOutcome =
  | { readonly ok: true; readonly data: JsonValue; readonly warnings?: readonly string[] | undefined }
  | { readonly ok: false; readonly reason: string }

/**
 * Returns the differences of the expected and the actual outcome; empty if the outcome is as expected. The paths begin with `data`,
 * `warnings` or `errors`, as the result of a codec does in TS013.
 */
export function sampleDifferences(expectation: SampleExpectation, outcome: SampleOutcome): readonly Difference[] {
  if ('errors' in expectation) return errorDifferences(expectation.errors, outcome)
  if (!outcome.ok) return [{ path: 'errors', expected: undefined, got: outcome.reason }]
  const { warnings } = expectation
  const ofWarnings = warnings === undefined ? [] : jsonDifferences(warnings, outcome.warnings ?? [], 'warnings')
  return [...dataDifferences(expectation.results, outcome.data), ...ofWarnings]
}

/** A payload, and what a codec is expected to make of it. */
export interface RunnableSample {
  readonly payload: Uint8Array
  readonly input: CodecInput
  readonly expectation: SampleExpectation
}

/**
 * Runs a sample in the share of an organization; returns the differences of its outcome. The expected data is what the platform stores,
 * or what decodeUplink returns for normalizeUplink.
 */
export async function runSample(
  runner: CodecRunner,
  organizationId: string,
  codec: Codec,
  { payload, input, expectation }: RunnableSample,
): Promise<readonly Difference[]> {
  const outcome = await runner.run(organizationId, codec, payload, input)
  const differences = storedDifferences(expectation, outcome, input.receivedAt)
  const isNormalized = codec.kind === 'javascript' && codec.source.includes('normalizeUplink')
  if (differences.length === 0 || !outcome.ok || !isNormalized) return differences
  const decoded = await runner.run(organizationId, codec, payload, { ...input, normalize: false })
  const others = storedDifferences(expectation, decoded, input.receivedAt)
  return others.length < differences.length ? others : differences
}

/** As sampleDifferences, with the readings of lists as the platform stores them. */
function storedDifferences(
  expectation: SampleExpectation,
  outcome: SampleOutcome,
  receivedAt: Instant,
): readonly Difference[] {
  if ('errors' in expectation || !outcome.ok) return sampleDifferences(expectation, outcome)
  const results = expectation.results.map((result) => storedResult(result, receivedAt))
  return sampleDifferences({ ...expectation, results }, { ...outcome, data: storedResult(outcome.data, receivedAt) })
}

function errorDifferences(errors: readonly string[], outcome: SampleOutcome): readonly Difference[] {
  if (outcome.ok) return [{ path: 'data', expected: undefined, got: outcome.data }]
  const reason = oneLine(outcome.reason)
  const isExpected = errors.every((text) => reason.includes(oneLine(text)))
  return isExpected ? [] : [{ path: 'errors', expected: errors, got: outcome.reason }]
}

/** Returns the differences to the result that the data resembles most. */
function dataDifferences(results: readonly JsonValue[], data: JsonValue): readonly Difference[] {
  const candidates = results.map((result) => jsonDifferences(result, data, 'data').filter((each) => !isTruncated(each)))
  return candidates.reduce((best, each) => (each.length < best.length ? each : best), candidates[0] ?? [])
}

/** Returns whether the time differs only by the digits that a Date of JavaScript cannot have. */
function isTruncated({ expected, got }: Difference): boolean {
  if (typeof expected !== 'string' || typeof got !== 'string') return false
  const instant = fromRfc3339(expected)
  if (instant === null || instant % 1000n === 0n) return false
  return instant - (instant % 1000n) === fromRfc3339(got)
}

/** Reasons have one line. */
function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim()
}
