import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { JetStreamManager, StreamConfig } from '@nats-io/jetstream'
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

/** Changes a stream or a consumer with the NATS CLI, or with the same requests without it. */
export async function nats(line: string, manager: JetStreamManager): Promise<void> {
  if (await isOnPath('nats')) return void (await run('sh', ['-c', line]))
  const [, , , kind, action, ...rest] = shellWords(line)
  if (kind === 'stream' && action === 'subjects')
    return void (await manager.streams.info(rest[0] ?? '', { subjects_filter: '>' }))
  const [force, stream = '', ...more] = rest
  if (force !== '-f') throw new Error(`without -f, this command asks a question: ${line}`)
  if (kind === 'consumer' && action === 'rm') await manager.consumers.delete(stream, more[0] ?? '')
  else if (kind === 'stream' && action === 'rm') await manager.streams.delete(stream)
  else if (kind === 'stream' && action === 'edit') await manager.streams.update(stream, limitsOf(more))
  else throw new Error(`unknown to the test: ${line}`)
}

const NANOS_PER_DAY = 24 * 3600 * 1e9

type Limits = Partial<Pick<StreamConfig, 'max_age' | 'max_bytes' | 'max_msgs_per_subject'>>

/** Reads pairs such as `--max-age 14d`, `--max-bytes 20GiB` and `--max-msgs-per-subject 100`. */
function limitsOf([flag, value = '', ...more]: readonly string[]): Limits {
  const rest = more.length === 0 ? {} : limitsOf(more)
  const [, number, unit] = /^(\d+)(d|GiB|)$/.exec(value) ?? []
  if (flag === '--max-age' && unit === 'd') return { ...rest, max_age: Number(number) * NANOS_PER_DAY }
  if (flag === '--max-bytes' && unit === 'GiB') return { ...rest, max_bytes: Number(number) * 2 ** 30 }
  if (flag === '--max-msgs-per-subject' && unit === '') return { ...rest, max_msgs_per_subject: Number(number) }
  throw new Error(`unknown to the test: ${flag} ${value}`)
}
