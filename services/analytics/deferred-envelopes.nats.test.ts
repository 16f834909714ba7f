import { describe, expect, it } from 'vitest'
import { analyticsForEach, scriptedWriter, WAIT } from '../../test/rig/services/analytics-rig.ts'

const stage = analyticsForEach()

describe('B-4: envelopes of unknown devices', () => {
  it('30,000 of them, which wait for their devices, do not delay a known device', async () => {
    stage.device('device')
    const { script, writer } = scriptedWriter()
    await stage.startAnalytics(writer)
    const unknown = Array.from({ length: 30_000 }, (_, number) => ({
      endDeviceId: `unknown-${number}`,
      organizationId: `organization-${number % 3}`,
    }))
    await stage.publish(...unknown)
    await stage.publish(...Array.from({ length: 10 }, () => ({})))
    await expect.poll(() => script.rows.length, WAIT).toBe(10)
    expect(await stage.messagesIn('dead_letters')).toBe(0)
  })
})
