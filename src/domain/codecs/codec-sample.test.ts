import { describe, expect, it } from 'vitest'
import { sampleDifferences, type SampleExpectation, type SampleOutcome } from './codec-sample.ts'
import { differenceText } from './json-difference.ts'

const failure: SampleOutcome = { ok: false, reason: 'line 1, column 5: unknown   FPort' }

describe('P-13: a sample', () => {
  it.each<[string, SampleExpectation, SampleOutcome, readonly string[]]>([
    ['the expected data', { results: [{ a: 1 }] }, { ok: true, data: { a: 1 }, warnings: ['low'] }, []],
    ['other data', { results: [{ a: 1 }] }, { ok: true, data: { a: 2 } }, ['data.a: expected 1, got 2']],
    ['the second of two results', { results: [{ a: 1 }, { b: 1 }] }, { ok: true, data: { b: 1 } }, []],
    [
      'a result that resembles the second',
      {
        results: [
          { a: 1, b: 1 },
          { c: 1, d: 1 },
        ],
      },
      { ok: true, data: { c: 1 } },
      ['data.d: expected 1, got nothing'],
    ],
    [
      'a failure instead of data',
      { results: [{}] },
      failure,
      ['errors: expected nothing, got "line 1, column 5: unknown   FPort"'],
    ],
    [
      'other warnings',
      { results: [{}], warnings: ['low battery'] },
      { ok: true, data: {}, warnings: ['low'] },
      ['warnings[0]: expected "low battery", got "low"'],
    ],
    [
      'a warning where none is expected',
      { results: [{}], warnings: [] },
      { ok: true, data: {}, warnings: ['low'] },
      ['warnings[0]: expected nothing, got "low"'],
    ],
    ['the expected error', { errors: ['unknown\nFPort'] }, failure, []],
    [
      'another error',
      { errors: ['too short'] },
      failure,
      ['errors: expected ["too short"], got "line 1, column 5: unknown   FPort"'],
    ],
    ['data instead of an error', { errors: ['x'] }, { ok: true, data: {} }, ['data: expected nothing, got {}']],
  ])('with %s', (_title, expectation, outcome, differences) => {
    expect(sampleDifferences(expectation, outcome).map(differenceText)).toEqual(differences)
  })
})
