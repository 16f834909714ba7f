import { describe, expect, it } from 'vitest'
import type { TaskResult } from '../../../src/codecs/pool/evaluation-scheduler.ts'
import { decodeProcessedEnvelope } from '../../../src/proto/envelope.ts'
import { analyticsForEach, DECODED, WAIT } from '../../../test/rig/services/analytics-rig.ts'
import { rawRig } from '../../../test/rig/services/raw-rig.ts'

const stage = analyticsForEach()

const SURPLUS = 'surplus_envelopes'
const DONE: TaskResult = { ok: true, data: DECODED, size: 50 }

/** Creates consumers for which each device is its organization; the evaluation of one waits until `release` and has the result. */
function scene(slow?: string, result = DONE) {
  let release = (): void => {}
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  const rig = rawRig({
    ...stage,
    client: stage.client,
    producer: stage.producer,
    organizationOf: (id) => id,
    evaluate: async ({ codec }) => {
      if (codec.source !== slow) return DONE
      await released
      return result
    },
  })
  return { ...rig, release }
}

function envelopes(count: number, id: string) {
  return Array.from({ length: count }, () => ({ endDeviceId: id, organizationId: id }))
}

/** Returns the number of processed envelopes of each organization, and whether each is there once. */
async function processed(): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  const ids = new Set<string>()
  const { state } = await stage.client.manager.streams.info('processed_envelopes')
  if (state.messages === 0) return counts
  const consumer = await stage.client.jetstream.consumers.get('processed_envelopes')
  for await (const { data, seq, headers } of await consumer.consume({ max_messages: 1000 })) {
    const { organizationId } = decodeProcessedEnvelope(data)
    counts[organizationId] = (counts[organizationId] ?? 0) + 1
    ids.add(headers?.get('Nats-Msg-Id') ?? '')
    if (seq >= state.last_seq) break
  }
  expect(ids.size).toBe(state.messages)
  return counts
}

describe('B-3: the envelopes of an organization beyond its share', () => {
  it('do not delay another organization, and each becomes one processed envelope later', async () => {
    const { release, ...rig } = scene('busy')
    const running = rig.start()
    await stage.publish(...envelopes(3000, 'busy'), ...envelopes(20, 'quiet'))
    await expect.poll(processed, WAIT).toEqual({ quiet: 20 })
    expect(await stage.messagesIn(SURPLUS)).toBeGreaterThan(0)
    release()
    await expect.poll(processed, WAIT).toEqual({ quiet: 20, busy: 3000 })
    await expect.poll(() => stage.messagesIn(SURPLUS), WAIT).toBe(0)
    await running.stop()
    expect(await stage.allAcknowledged('raw_envelopes', 'analytics-raw')).toBe(true)
    expect(await stage.messagesIn('dead_letters')).toBe(0)
  })

  it('do not delay the surplus of another organization', async () => {
    const { release, ...rig } = scene('busy')
    const running = rig.start()
    await stage.publish(...envelopes(3000, 'busy'), ...envelopes(3000, 'burst'), ...envelopes(20, 'quiet'))
    await expect.poll(processed, WAIT).toEqual({ quiet: 20, burst: 3000 })
    release()
    await running.stop()
    expect(await stage.messagesIn('dead_letters')).toBe(0)
  })

  it('are processed by the next start', async () => {
    const first = scene('busy')
    const running = first.start()
    await stage.publish(...envelopes(3000, 'busy'), ...envelopes(20, 'quiet'))
    await expect.poll(processed, WAIT).toEqual({ quiet: 20 })
    first.release()
    await running.stop()
    const again = scene().start()
    await expect.poll(processed, WAIT).toEqual({ quiet: 20, busy: 3000 })
    await again.stop()
    expect(await stage.messagesIn('dead_letters')).toBe(0)
  })

  it('become dead letters, each once, if they cannot be evaluated', async () => {
    const { release, ...rig } = scene('busy', { ok: false, reason: 'no such key' })
    const running = rig.start()
    await stage.publish(...envelopes(2000, 'busy'), ...envelopes(20, 'quiet'))
    await expect.poll(processed, WAIT).toEqual({ quiet: 20 })
    release()
    await expect.poll(() => stage.messagesIn('dead_letters'), WAIT).toBe(2000)
    await expect.poll(() => stage.messagesIn(SURPLUS), WAIT).toBe(0)
    await running.stop()
    const letters = await stage.deadLetters()
    expect(new Set(letters.map(({ reason }) => reason))).toEqual(
      new Set(['payload conversion of device busy: no such key']),
    )
  })

  it('become dead letters with the reason when its part of the surplus is full, and those of others do not', async () => {
    await stage.client.manager.streams.update(SURPLUS, { max_msgs_per_subject: 2 })
    const { release, ...rig } = scene('busy')
    const running = rig.start()
    await stage.publish(...envelopes(5000, 'busy'), ...envelopes(2000, 'burst'), ...envelopes(20, 'quiet'))
    await expect.poll(processed, WAIT).toMatchObject({ quiet: 20 })
    await expect.poll(() => stage.messagesIn('dead_letters'), WAIT).toBeGreaterThan(0)
    release()
    await expect.poll(() => stage.allAcknowledged('raw_envelopes', 'analytics-raw'), WAIT).toBe(true)
    await expect.poll(() => stage.messagesIn(SURPLUS), WAIT).toBe(0)
    await running.stop()
    const letters = await stage.deadLetters()
    const { busy = 0, burst = 0 } = await processed()
    expect(busy + burst + letters.length).toBe(7000)
    expect(letters[0]?.reason).toBe(
      'organization busy sends more than is processed, and its share of the surplus is full: stream surplus_envelopes: maximum messages per subject exceeded; send less or simplify its payload conversions, then replay',
    )
  })
})
