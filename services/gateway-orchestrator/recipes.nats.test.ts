import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { JsonObject } from '../../src/domain/entities.ts'
import { checkGatewayConfig } from '../../src/domain/gateway-config.ts'
import { connectMqttPublisher } from '../../src/mqtt/client.ts'
import { projectRoot } from '../../test/rig/program.ts'
import { startMosquitto } from '../../test/rig/servers.ts'
import { gateway, GatewayRig, WAIT } from '../../test/rig/gateways/gateway-rig.ts'

const rig = GatewayRig.forEach()

/** Returns the first block of a language in a section of docs/gateways.md. */
async function block(title: string, language: string): Promise<string> {
  const text = await readFile(join(projectRoot, 'docs/gateways.md'), 'utf8')
  const [, section = ''] = text.split(`### ${title}\n`)
  const [, code] = new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 's').exec(section) ?? []
  if (code === undefined) throw new Error(`docs/gateways.md has no block ${language} in ${title}`)
  return code
}

/** Runs a gateway with the config of a recipe and the broker of the test. */
async function serve(title: string, gatewayType: string, brokerUrl: string) {
  const text = (await block(title, 'json')).replace('ORG', 'o1')
  const config: JsonObject = JSON.parse(text)
  checkGatewayConfig({ organizationId: 'o1', gatewayType, gatewayConfig: config })
  const gatewayId = `g${randomUUID()}`
  const gatewayConfig = { ...config, broker_url: brokerUrl }
  await rig.insert(gateway(gatewayId, 1, { gatewayType, gatewayConfig }))
  const service = await rig.serve()
  await service.until(gatewayId, 'running')
}

async function publishNumbers(brokerUrl: string, from: number, to: number): Promise<void> {
  const client = await connectMqttPublisher({ brokerUrl, clientId: randomUUID() })
  const numbers = Array.from({ length: to - from }, (_, index) => String(from + index))
  await Promise.all(numbers.map((number) => client.publish('o1/d1', Buffer.from(number))))
  await client.close()
}

async function distinctPayloads(): Promise<number> {
  const { messages } = (await rig.client.manager.streams.info('raw_envelopes')).state
  if (messages === 0) return 0
  const envelopes = await rig.untilEnvelopes(messages)
  return new Set(envelopes.map(({ payload }) => Buffer.from(payload).toString())).size
}

test('G-8: with the settings of the recipe mosquitto keeps 1,500 messages while NATS is away, also when it restarts', async () => {
  const mosquitto = await startMosquitto(await block('Mosquitto', 'conf'))
  onTestFinished(() => mosquitto[Symbol.asyncDispose]())
  const brokerUrl = `mqtt://${mosquitto.host}:${mosquitto.port}`
  await serve('Mosquitto', 'mqtt', brokerUrl)
  await rig.nats.kill()
  await publishNumbers(brokerUrl, 0, 1200)
  await mosquitto.stop()
  await mosquitto.start()
  await publishNumbers(brokerUrl, 1200, 1500)
  await rig.nats.start()
  await rig.client.link.untilConnected(new AbortController().signal)
  await expect
    .poll(async () => (await rig.client.manager.streams.info('raw_envelopes')).state.messages, WAIT)
    .toBeGreaterThanOrEqual(1500)
  await expect.poll(distinctPayloads, WAIT).toBe(1500)
})

test('G-8: a gateway with the config of the recipe for EMQX stores messages', async () => {
  await serve('EMQX', 'emqx', rig.brokerUrl)
  await publishNumbers(rig.brokerUrl, 0, 1)
  expect(await rig.untilEnvelopes(1)).toMatchObject([{ organizationId: 'o1', endDeviceId: 'd1' }])
})
