import { describe, expect, it } from 'vitest'
import { parseEnvironment } from '../../src/runner/environment.ts'
import { Evaluator } from '../../src/codecs/cel/evaluator.ts'
import { decodeChirpStackUplink } from '../../src/domain/network-server/chirpstack.ts'
import { chirpStackMessage } from './chirpstack.ts'
import { DEMO_DEVICES } from './inventory.ts'
import { environment } from './environment.ts'
import { summary } from './demo.ts'

const inventory = {
  organizationId: 'o1',
  devices: DEMO_DEVICES.map((demo, index) => ({ deviceId: `d${index}`, demo })),
}

describe('demo devices', () => {
  it.each(DEMO_DEVICES)('E-6: the expression of $name converts its payloads', (device) => {
    for (const value of [-1, 0, 1]) {
      for (let hour = 0; hour < 24; hour++) {
        const at = new Date(Date.UTC(2026, 0, 1, hour))
        const noise = () => value
        const payload = device.measure(at, noise)
        const message = chirpStackMessage({ devEui: '0'.repeat(16), deviceName: '', fCnt: 1, payload, at, noise })
        const { uplink } = decodeChirpStackUplink(message.body)
        const evaluation = new Evaluator().evaluate(device.payloadConversion, payload, { receivedAt: 0n, uplink })
        expect(evaluation).toMatchObject({ ok: true })
      }
    }
  })

  it('E-6: the uplink of a LoRaWAN device is an event of ChirpStack v4', () => {
    const at = new Date(Date.UTC(2026, 0, 1, 16))
    const payload = Buffer.from('006700b4', 'hex')
    const uplink = { devEui: '70b3d57ed0000001', deviceName: 'Vineyard', fCnt: 7, payload, at, noise: () => 0 }
    const { topic, body } = chirpStackMessage(uplink)
    expect(topic).toMatch(/^application\/[0-9a-f-]{36}\/device\/70b3d57ed0000001\/event\/up$/)
    expect(decodeChirpStackUplink(body)).toMatchObject({
      externalId: '70b3d57ed0000001',
      payload,
      receivedAt: BigInt(at.getTime()) * 1000n,
      uplink: { fPort: 2, fCnt: 7, metadata: { rssi: -95, snr: 7.5 } },
    })
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
