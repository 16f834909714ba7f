import { register } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { listDeadLetters } from '../../src/nats/dead-letters.ts'
import { decodeRawEnvelope } from '../../src/proto/envelope.ts'
import { metricOf } from '../../test/rig/adapters/consumer-scene.ts'
import { analyticsForEach, scriptedWriter, WAIT } from '../../test/rig/services/analytics-rig.ts'

const stage = analyticsForEach()
const RAW = { durable: 'analytics-raw' }
const UNDECODABLE = Uint8Array.of(0xff, 0xff)

function repeat<T>(count: number, value: T): T[] {
  return Array.from({ length: count }, () => value)
}

/** Returns the number of dead letters of each organization, and those without an organization as `unknown`. */
async function deadLettersByOrganization(): Promise<Readonly<Record<string, number>>> {
  const counts: Record<string, number> = {}
  for await (const { body } of listDeadLetters(stage.client)) {
    const isEnvelope = body !== undefined && Buffer.compare(body, UNDECODABLE) !== 0
    const organization = isEnvelope ? decodeRawEnvelope(body).organizationId : 'unknown'
    counts[organization] = (counts[organization] ?? 0) + 1
  }
  return counts
}

describe('B-5: the quota of dead letters', () => {
  it('bounds those of each organization, stores all of the others, and counts what it drops', async () => {
    register.resetMetrics()
    stage.device('device')
    const { script, writer } = scriptedWriter()
    const { log, stop } = await stage.startAnalytics(writer, stage.client, { PONIX_DEAD_LETTER_QUOTA: '20' })
    // The device belongs to `organization`: envelopes of the other two become dead letters.
    const invalid = [...repeat(200, { organizationId: 'loud' }), ...repeat(15, { organizationId: 'quiet' })]
    await stage.publish(...invalid, ...repeat(10, {}), ...repeat(25, UNDECODABLE))
    await expect.poll(() => stage.allAcknowledged('raw_envelopes', RAW.durable), WAIT).toBe(true)
    await expect.poll(() => script.rows.length, WAIT).toBe(10)
    expect(await deadLettersByOrganization()).toEqual({ loud: 20, quiet: 15, unknown: 20 })
    const counts = {
      acknowledged: await metricOf('ponix_nats_consumed_total', { ...RAW, outcome: 'ack' }),
      deadLetters: await metricOf('ponix_nats_consumed_total', { ...RAW, outcome: 'dead_letter' }),
      dropped: await metricOf('ponix_nats_consumed_total', { ...RAW, outcome: 'dropped' }),
    }
    expect(counts).toEqual({ acknowledged: 10, deadLetters: 55, dropped: 185 })
    const outcomes = async (cause: string) => ({
      stored: await metricOf('ponix_nats_dead_letters_total', { cause, outcome: 'stored' }),
      dropped: await metricOf('ponix_nats_dead_letters_total', { cause, outcome: 'dropped' }),
    })
    expect(await outcomes('wrong_organization')).toEqual({ stored: 35, dropped: 180 })
    expect(await outcomes('undecodable')).toEqual({ stored: 20, dropped: 5 })
    await stop()
    const summaries = log.lines.filter(({ msg }) => msg.includes('PONIX_DEAD_LETTER_QUOTA'))
    const logged = new Map(summaries.map((line) => [line['organization_id'], line['dropped']]))
    expect(logged).toEqual(
      new Map([
        ['loud', 180],
        [undefined, 5],
      ]),
    )
  })
})
