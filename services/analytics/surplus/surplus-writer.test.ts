import { describe, expect, test, vi } from 'vitest'
import { PublishError } from '../../../src/domain/errors.ts'
import type { EncodedDelivery } from '../../../src/nats/delivery.ts'
import { SurplusWriter } from './surplus-writer.ts'

function message(bytes = 100): EncodedDelivery {
  const place = { subject: 'raw_envelopes.any', streamSequence: 1, attempt: 1, storedAtMs: 0 }
  return {
    ...place,
    body: new Uint8Array(bytes),
    header: () => undefined,
    headers: () => ({}),
    headerBlock: new Uint8Array(),
  }
}

/** Returns a writer, and the sizes of the stored bundles by organization. */
function scene(fail?: Error) {
  const bundles: (readonly [organizationId: string, envelopes: number])[] = []
  const writer = new SurplusWriter({
    queue: {
      add: async (organizationId, messages) => {
        if (fail !== undefined) throw fail
        bundles.push([organizationId, messages.length])
      },
    },
    onStored: () => {},
  })
  const add = async (organizationId: string, count: number, bytes?: number) =>
    await Promise.all(Array.from({ length: count }, () => writer.add(organizationId, message(bytes))))
  return { add, bundles, writer }
}

describe('B-3: surplus envelopes are stored', () => {
  test('together after a quarter of a second, those of each organization in a bundle of their own', async () => {
    const { add, bundles } = scene()
    const results = await Promise.all([add('one', 3), add('other', 2)])
    expect(results.flat()).toEqual(Array.from({ length: 5 }, () => ({ kind: 'ack' })))
    expect(bundles).toEqual([
      ['one', 3],
      ['other', 2],
    ])
  })

  test('when they have 32 KiB, and one that is larger alone', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout'] })
    try {
      const { add, bundles } = scene()
      await Promise.all([add('one', 8, 8 * 1024), add('other', 1, 40 * 1024)])
      expect(bundles).toEqual([
        ['one', 4],
        ['one', 4],
        ['other', 1],
      ])
    } finally {
      vi.useRealTimers()
    }
  })

  test('when 800 of all organizations wait', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout'] })
    try {
      const { add, bundles } = scene()
      await Promise.all(['a', 'b', 'c', 'd'].map((organizationId) => add(organizationId, 200)))
      expect(bundles).toEqual([
        ['a', 200],
        ['b', 200],
        ['c', 200],
        ['d', 200],
      ])
    } finally {
      vi.useRealTimers()
    }
  })

  test('or become dead letters if their stream is full', async () => {
    const { add } = scene(new PublishError('refused', 'stream surplus_envelopes: maximum bytes exceeded'))
    expect(await add('one', 1)).toMatchObject([
      {
        kind: 'dead_letter',
        cause: 'overloaded',
        organizationId: 'one',
        reason: expect.stringContaining('maximum bytes'),
      },
    ])
  })

  test('or become dead letters if their organization cannot be part of a subject', async () => {
    const { add } = scene(new PublishError('invalid', 'invalid id "a.b"'))
    expect(await add('a.b', 1)).toMatchObject([
      { kind: 'dead_letter', reason: 'the envelope cannot wait as surplus: invalid id "a.b"' },
    ])
  })

  test('or are retried if NATS does not answer', async () => {
    const { add } = scene(new Error('no answer'))
    expect(await add('one', 1)).toMatchObject([
      { kind: 'retry', reason: 'the envelope cannot wait as surplus: no answer' },
    ])
  })
})
