import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { freePort } from '../../test/rig/servers.ts'
import { GatewayRig, WAIT } from '../../test/rig/gateways/gateway-rig.ts'

const rig = GatewayRig.forEach()

describe('a gateway that fails', () => {
  test('G-9: is retried without end, also after it is reported as failing, and runs when its broker is back', async () => {
    const own = rig.mqttGateway(1)
    await rig.insert(own)
    await rig.mqtt.kill()
    const service = await rig.serve()
    await service.until(own.gatewayId, 'failing')
    expect(await service.gateways()).toMatchObject({ [own.gatewayId]: { state: 'failing' } })
    await rig.mqtt.start()
    await service.until(own.gatewayId, 'running')
    expect(service.history(own.gatewayId)).toEqual([
      ...Array.from({ length: 3 }, () => expect.stringMatching(/^failed, retrying in [\d.]+ s: .*ECONNREFUSED/)),
      expect.stringMatching(/^failing, 4 attempts in a row; retried without end: .*ECONNREFUSED/),
      'running (mqtt)',
    ])
  })

  test('G-9: is retried up to a limit that is set, then fails; the others continue; a new config starts it again', async () => {
    const nowhere = `mqtt://127.0.0.1:${await freePort()}`
    const [own, good] = [rig.mqttGateway(1, { broker_url: nowhere }), rig.mqttGateway(1)]
    await rig.insert(own)
    await rig.insert(good)
    const service = await rig.serve({ PONIX_GATEWAY_ORCHESTRATOR_MAX_RETRY_ATTEMPTS: '2' })
    await service.until(own.gatewayId, 'failed permanently')
    await service.until(good.gatewayId, 'running')
    const history = service.history(own.gatewayId)
    expect(history).toHaveLength(3)
    for (const line of history.slice(0, 2)) expect(line).toMatch(/^failed, retrying in [\d.]+ s: .*ECONNREFUSED/)
    expect(history[2]).toMatch(/^failed permanently until its config changes: .*ECONNREFUSED/)
    const client = await rig.publisher()
    await client.publish('o1/d1', Buffer.from('through the other'))
    await rig.untilEnvelopes(1)
    expect(service.history(good.gatewayId)).toEqual(['running (mqtt)'])
    expect(await service.gateways()).toMatchObject({
      [own.gatewayId]: {
        state: 'failed',
        retries: 3,
        last_error: expect.stringContaining('ECONNREFUSED'),
        messages: 0,
      },
      [good.gatewayId]: { state: 'running', retries: 0, last_error: null },
    })
    await rig.publishEvent('update', { ...own, updatedAt: 2n, gatewayConfig: { broker_url: rig.brokerUrl } })
    await service.until(own.gatewayId, 'running')
  })

  test('G-9: is logged once and not retried if its config is invalid', async () => {
    const own = rig.mqttGateway(1, { broker_url: 'http://secret@b' })
    // MQTT has no strings of more than 65,535 bytes.
    const long = rig.mqttGateway(1, { username: 'secret'.repeat(11_000) })
    for (const each of [own, long]) await rig.insert(each)
    const service = await rig.serve()
    for (const { gatewayId } of [own, long]) {
      await service.until(gatewayId, 'failed')
      expect(service.history(gatewayId)).toEqual([expect.stringMatching(/^failed permanently.*gateway_config: /)])
    }
    expect(JSON.stringify(service.lines)).not.toMatch(/secret|   at /)
  })

  test('G-9: reconnects if its broker has restarted, and receives messages again', async () => {
    const own = rig.mqttGateway(1)
    await rig.insert(own)
    const service = await rig.serve()
    await service.until(own.gatewayId, 'running')
    await rig.mqtt.kill()
    await service.until(own.gatewayId, 'interrupted')
    await rig.mqtt.start()
    await service.until(own.gatewayId, 'running', 2)
    const client = await rig.publisher()
    await client.publish('o1/d1', Buffer.from('back'))
    expect(await rig.untilEnvelopes(1)).toHaveLength(1)
  })
})

describe('a shutdown', () => {
  test('G-10: stops all gateways on SIGTERM, even waiting and connecting ones, and exits with 0', async () => {
    const silent = createServer().listen(0, '127.0.0.1')
    await once(silent, 'listening')
    onTestFinished(() => void silent.close())
    const address = silent.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const waiting = rig.mqttGateway(1, { broker_url: `mqtt://127.0.0.1:${await freePort()}` })
    const connecting = rig.mqttGateway(1, { broker_url: `mqtt://127.0.0.1:${port}` })
    const running = rig.mqttGateway(1)
    for (const each of [waiting, connecting, running]) await rig.insert(each)
    const connected = once(silent, 'connection')
    const service = await rig.serve({ PONIX_GATEWAY_ORCHESTRATOR_RETRY_DELAY_SECS: '3600' })
    await connected
    await service.until(waiting.gatewayId, 'retrying in')
    await service.until(running.gatewayId, 'running')
    expect(await service.stop()).toBe(0)
    for (const { gatewayId } of [waiting, connecting, running])
      expect(service.history(gatewayId).at(-1)).toBe('stopped')
  })

  test('G-10: stores and acknowledges the messages in flight, so that a restart repeats none', async () => {
    const own = rig.mqttGateway(1)
    await rig.insert(own)
    const first = await rig.serve()
    await first.until(own.gatewayId, 'running')
    const client = await rig.publisher()
    await client.publish('o1/d1', Buffer.from('0'))
    await rig.untilEnvelopes(1)
    const pid = Number(await readFile(join(rig.nats.dataDir, 'server.pid'), 'utf8'))
    process.kill(pid, 'SIGSTOP')
    onTestFinished(() => void process.kill(pid, 'SIGCONT'))
    for (let number = 1; number <= 200; number++) await client.publish('o1/d1', Buffer.from(String(number)))
    const stopped = first.stop()
    await expect.poll(() => first.readiness(), WAIT).toContain('stopping')
    process.kill(pid, 'SIGCONT')
    expect(await stopped).toBe(0)
    const second = await rig.serve()
    await second.until(own.gatewayId, 'running')
    await client.publish('o1/d1', Buffer.from('201'))
    const numbers = (await rig.untilEnvelopes(202)).map(({ payload }) => Number(Buffer.from(payload).toString()))
    expect(numbers).toEqual(Array.from({ length: 202 }, (_, number) => number))
  })
})
