import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { connectMqttPublisher } from '../../../src/mqtt/client.ts'
import { argument, shellWords } from './document-commands.ts'

// Runs the programs that the documents use; if a program is not installed, the test sends the same messages.

const run = promisify(execFile)

export async function isOnPath(program: string): Promise<boolean> {
  return run('sh', ['-c', 'command -v "$1"', 'sh', program]).then(
    () => true,
    () => false,
  )
}

/** Publishes with mosquitto_pub, or the same bytes to the same topic without it. */
export async function publish(line: string): Promise<void> {
  if (await isOnPath('mosquitto_pub')) return void (await run('sh', ['-c', line]))
  const words = shellWords(line)
  const brokerUrl = `mqtt://${argument(words, '-h')}:${argument(words, '-p')}`
  const device = await connectMqttPublisher({ brokerUrl, clientId: 'docs' })
  const octets = [...argument(words, 'printf').matchAll(/\\(\d{3})/g)].map(([, octal = '']) => parseInt(octal, 8))
  await device.publish(argument(words, '-t'), Uint8Array.from(octets))
  await device.close()
}

/** Sends the request with curl, or the same request without it. */
export async function request(line: string): Promise<string> {
  if (await isOnPath('curl')) return (await run('sh', ['-c', line])).stdout
  const words = shellWords(line)
  const user = words.includes('-u') ? argument(words, '-u') : null
  const headers = user === null ? {} : { authorization: `Basic ${Buffer.from(user).toString('base64')}` }
  const post = words.includes('-d') ? { method: 'POST', body: argument(words, '-d') } : {}
  const url = words.find((word) => word.startsWith('http')) ?? 'no URL'
  return (await fetch(url, { headers, ...post })).text()
}
