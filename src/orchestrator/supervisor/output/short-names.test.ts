import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { shortNames } from './short-names.ts'

describe('shortNames (O-31)', () => {
  it.each([
    [['api', 'worker'], 17, ['api', 'worker']],
    [['exactly-seventeen'], 17, ['exactly-seventeen']],
    [['gateway-orchestrator-of-berlin'], 17, ['gateway-orc…erlin']],
    [['analytics-of-raw-envelopes#1', 'analytics-of-raw-envelopes#12'], 17, ['analytics-o…pes#1', 'analytics-o…es#12']],
    [['the-same-beginning-A-the-same-end', 'the-same-beginning-B-the-same-end'], 10, ['the-sa…end', 'the-s…-end']],
    [['aaaaaaaaXaaaaaaaa', 'aaaaaaaaYaaaaaaaa', 'aaaaaaaaZaaaaaaaa'], 5, ['aaa…a', 'aa…aa', 'a…aaa']],
  ])('shortens %j to %d characters', (names, limit, expected) => {
    expect([...shortNames(names, limit).values()].toSorted()).toEqual(expected.toSorted())
  })

  it('gives every name its own label of at most the limit', () => {
    const name = fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 30 })
    fc.assert(
      fc.property(fc.uniqueArray(name, { maxLength: 20 }), fc.integer({ min: 4, max: 20 }), (names, limit) => {
        const labels = shortNames(names, limit)
        expect(new Set(labels.values()).size).toBe(names.length)
        for (const each of names) expect(labels.get(each)?.length).toBeLessThanOrEqual(limit)
        const fitting = names.filter((each) => each.length <= limit)
        expect(fitting.map((each) => labels.get(each))).toEqual(fitting)
      }),
    )
  })
})
