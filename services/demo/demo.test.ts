import { describe, expect, it } from 'vitest'
import { parseEnvironment } from '../../src/runner/environment.ts'
import { Evaluator } from '../../src/cel/evaluator.ts'
import { DEMO_DEVICES } from './inventory.ts'
import { environment } from './environment.ts'
import { summary } from './demo.ts'

const inventory = {
  organizationId: 'o1',
  devices: DEMO_DEVICES.map((demo, index) => ({ deviceId: `d${index}`, demo })),
}

describe('demo devices', () => {
  it.each(DEMO_DEVICES)('E-6: the expression of $name converts its payloads', ({ measure, payloadConversion }) => {
    for (const noise of [-1, 0, 1]) {
      for (let hour = 0; hour < 24; hour++) {
        const payload = measure(new Date(Date.UTC(2026, 0, 1, hour)), () => noise)
        expect(new Evaluator().evaluate(payloadConversion, payload)).toMatchObject({ ok: true })
      }
    }
  })

  it('E-6: payloads have plausible values', () => {
    const [greenhouse, , van] = DEMO_DEVICES
    const at = new Date(Date.UTC(2026, 0, 1, 16))
    const valueOf = (device: typeof greenhouse): unknown => {
      if (device === undefined) throw new Error('device not found')
      const evaluation = new Evaluator().evaluate(
        device.payloadConversion,
        device.measure(at, () => 0),
      )
      return evaluation.ok ? evaluation.data : evaluation.reason
    }
    expect(valueOf(greenhouse)).toEqual({ temperature_0: 28, humidity_1: 50, barometer_2: 1013 })
    expect(valueOf(van)).toMatchObject({ gps_1: { altitude: 236 } })
  })
})

describe('the summary', () => {
  it('E-6: contains the topic of a device and a query command', () => {
    const text = summary(parseEnvironment(environment, { PONIX_DEMO_MQTT_URL: 'mqtt://broker:2883' }), inventory)
    expect(text).toContain('mosquitto_pub -h broker -p 2883 -q 1 -t o1/d0 -s')
    expect(text).toContain("curl -s -u ponix:ponix 'http://localhost:8123/?database=ponix'")
  })

  it('O-42: masks any password except the embedded one', () => {
    const text = summary(parseEnvironment(environment, { PONIX_CLICKHOUSE_PASSWORD: 'hunter2' }), inventory)
    expect(text).not.toContain('hunter2')
    expect(text).toContain('"$PONIX_CLICKHOUSE_PASSWORD"')
  })
})
