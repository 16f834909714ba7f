import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ByteRing } from './byte-ring.ts'

/** One operation: a text to append, and then a percentage of the oldest bytes to drop. */
const steps = fc.array(fc.record({ text: fc.string({ unit: 'binary-ascii', maxLength: 6000 }), percent: fc.nat(100) }))

describe('ByteRing', () => {
  it('holds the appended bytes without the dropped ones, for any sequence of operations', () => {
    fc.assert(
      fc.property(steps, (all) => {
        const ring = new ByteRing()
        let expected = ''
        for (const { text, percent } of all) {
          ring.append(text)
          expected += text
          const dropped = Math.floor((expected.length * percent) / 100)
          ring.drop(dropped)
          expected = expected.slice(dropped)
          expect(ring.length).toBe(expected.length)
          expect(ring.toString()).toBe(expected)
        }
      }),
    )
  })

  it('returns every byte value unchanged', () => {
    const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)).toString('latin1')
    const ring = new ByteRing()
    for (let turn = 0; turn < 100; turn++) {
      ring.append(all)
      if (turn >= 10) ring.drop(all.length)
    }
    expect(ring.toString()).toBe(all.repeat(10))
  })
})
