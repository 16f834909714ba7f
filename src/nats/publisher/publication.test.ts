import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PublishError } from '../../domain/errors.ts'
import { checkSize, encodeHeaders, isPublishable, subjectToken, type Publication } from './publication.ts'
import { covers } from '../streams.ts'

describe('the size of a message', () => {
  const message = { subject: 'a', body: new Uint8Array(100), messageId: 'id' }

  test.each<{ readonly part: string; readonly publication: Publication; readonly bytes: number }>([
    { part: 'the body and the message id', publication: message, bytes: 129 },
    { part: 'no body', publication: { ...message, body: new Uint8Array() }, bytes: 29 },
    { part: 'other headers', publication: { ...message, headers: { 'Ponix-Lsn': '0/1', Empty: '' } }, bytes: 154 },
    { part: 'characters of several bytes', publication: { ...message, messageId: 'ü€😀' }, bytes: 136 },
    { part: 'values without white space around them', publication: { ...message, messageId: ' id\t' }, bytes: 129 },
  ])('B-2: contains $part', ({ publication, bytes }) => {
    expect(publication.body.length + encodeHeaders(publication).length).toBe(bytes)
    expect(() => checkSize(publication, bytes)).not.toThrow()
    expect(() => checkSize(publication, bytes - 1)).toThrow(
      new PublishError(
        'too_large',
        `message of ${bytes} bytes for a exceeds max_payload ${bytes - 1} of NATS; raise max_payload`,
      ),
    )
  })

  test('B-2: has no limit while the server has not announced one', () => {
    expect(() => checkSize(message, undefined)).not.toThrow()
  })
})

describe('the subjects', () => {
  test('N-2 an id that is not one token of a subject is rejected', () => {
    for (const id of [
      '',
      'a.b',
      'a*',
      '>',
      'a b',
      'a\tb',
      'a\nb',
      'a\u0000b',
      'a\u007fb',
      '\u00a0',
      'a'.repeat(1001),
    ]) {
      expect(() => subjectToken(id)).toThrow(PublishError)
    }
    for (const id of ['cq1f2k3m4n5p6q7r8s9t', 'Gerät-7', 'a_b:c$', 'ü'.repeat(1000)]) expect(subjectToken(id)).toBe(id)
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
