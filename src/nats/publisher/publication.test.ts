import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PublishError } from '../../domain/errors.ts'
import { subjectToken, isPublishable } from './publication.ts'
import { covers } from '../streams.ts'

describe('the subjects', () => {
  test('N-2 an id that is not one token of a subject is rejected', () => {
    for (const id of ['', 'a.b', 'a*', '>', 'a b', 'a\tb', 'a\nb', 'a\u0000b', 'a\u007fb', '\u00a0']) {
      expect(() => subjectToken(id)).toThrow(PublishError)
    }
    for (const id of ['cq1f2k3m4n5p6q7r8s9t', 'Gerät-7', 'a_b:c$']) expect(subjectToken(id)).toBe(id)
  })

  test('N-2 an accepted id adds exactly one token to a subject', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (id) => {
        let token: string
        try {
          token = subjectToken(id)
        } catch {
          return
        }
        const subject = `processed_envelopes.${token}`
        expect(isPublishable(subject)).toBe(true)
        expect(subject.split('.')).toHaveLength(2)
        expect(covers('processed_envelopes.*', subject)).toBe(true)
      }),
    )
  })

  test('W-1 a pattern covers these filters', () => {
    const cases: readonly [string, string, boolean][] = [
      ['gateway.>', 'gateway.create', true],
      ['gateway.>', 'gateway.>', true],
      ['gateway.>', 'gateway', false],
      ['gateway.*', 'gateway.>', false],
      ['gateway.*', 'gateway.*', true],
      ['gateway.create', 'gateway.*', false],
      ['processed_envelopes.*', 'processed.envelopes.>', false],
      ['>', 'anything.at.all', true],
      ['a.*.c', 'a.b.c', true],
      ['a.*.c', 'a.b.c.d', false],
      ['a.b', 'a.b.c', false],
    ]
    for (const [pattern, filter, expected] of cases) {
      expect([pattern, filter, covers(pattern, filter)]).toEqual([pattern, filter, expected])
    }
  })

  test('W-1 a pattern that covers a filter covers every subject of the filter', () => {
    const token = fc.constantFrom('a', 'b', '*')
    const pattern = fc
      .tuple(fc.array(token, { minLength: 1, maxLength: 3 }), fc.boolean())
      .map(([tokens, open]) => [...tokens, ...(open ? ['>'] : [])].join('.'))
    const subject = fc
      .array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 5 })
      .map((tokens) => tokens.join('.'))
    fc.assert(
      fc.property(pattern, pattern, subject, (wide, narrow, one) => {
        fc.pre(covers(wide, narrow) && covers(narrow, one))
        expect(covers(wide, one)).toBe(true)
      }),
    )
  })
})
