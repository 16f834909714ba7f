import { describe, expect, test } from 'vitest'
import { connectTo, probeLog } from '../../../test/rig/adapters/nats-client.ts'
import { startNats } from '../../../test/rig/servers.ts'
import { TcpProxy } from '../../../test/rig/tcp-proxy.ts'
import { LiveFeed } from './live-feed.ts'

const soon = (): AbortSignal => AbortSignal.timeout(30_000)

/** Starts a live feed with its own NATS server and a publisher, and records the received messages. */
async function scene() {
  const server = await startNats()
  const log = probeLog()
  const client = await connectTo(server.url, log.logger)
  const publisherLog = probeLog()
  const publisher = await connectTo(server.url, publisherLog.logger)
  const received: string[] = []
  const feed = new LiveFeed(client, ['thing.*', 'other.>'], ({ subject, body }) =>
    received.push(`${subject} ${Buffer.from(body).toString()}`),
  )
  return {
    server,
    log,
    publisherLog,
    feed,
    received,
    publish: async (subject: string, text: string): Promise<void> => {
      publisher.connection.publish(subject, text)
      await publisher.connection.flush()
    },
    async [Symbol.asyncDispose](): Promise<void> {
      feed.close()
      await client.drain()
      await publisher.drain()
      await server[Symbol.asyncDispose]()
    },
  }
}

describe('P-6: a live feed', () => {
  test('receives everything that was published between two confirmations', async () => {
    await using stage = await scene()
    const { feed, received, publish } = stage
    expect(await feed.confirm(soon())).toBe(false)
    for (let index = 0; index < 1000; index++) await publish('thing.changed', String(index))
    await publish('other.deep.subject', 'too')
    await publish('something.else', 'not asked for')
    expect(await feed.confirm(soon())).toBe(true)
    expect(received).toHaveLength(1001)
    expect(received.slice(-2)).toEqual(['thing.changed 999', 'other.deep.subject too'])
  })

  test('reports after a reconnect that messages may be missing, and receives the next ones', async () => {
    await using stage = await scene()
    const { feed, received, log, publish, publisherLog, server } = stage
    await feed.confirm(soon())
    await server.kill()
    await log.line('NATS disconnected')
    await expect(feed.confirm(soon())).rejects.toThrow('not connected to NATS')
    await server.start()
    await log.line('NATS reconnected')
    await publisherLog.line('NATS reconnected')
    await expect.poll(() => feed.confirm(soon()).catch(() => undefined)).toBe(false)
    await publish('thing.changed', 'after')
    expect(await feed.confirm(soon())).toBe(true)
    expect(received).toEqual(['thing.changed after'])
  })

  test('rejects a confirmation when NATS disconnects before it answers, or when the signal aborts', async () => {
    await using server = await startNats()
    const network = { silent: false }
    await using proxy = await TcpProxy.start(server.url, (link) => ({
      fromClient: (bytes) => link.toServer(bytes),
      fromServer: (bytes) => (network.silent ? undefined : link.toClient(bytes)),
    }))
    await using client = await connectTo(`nats://127.0.0.1:${proxy.port}`)
    const feed = new LiveFeed(client, ['thing.*'], () => {})
    await feed.confirm(soon())
    network.silent = true
    await expect(feed.confirm(AbortSignal.timeout(50))).rejects.toThrow('timeout')
    const asked = feed.confirm(soon())
    proxy.cut()
    await expect(asked).rejects.toThrow('disconnected')
    network.silent = false
    await expect.poll(() => feed.confirm(soon()).catch(() => undefined)).toBe(false)
  })

  test('receives nothing after close', async () => {
    await using stage = await scene()
    const { feed, received, publish } = stage
    await feed.confirm(soon())
    feed.close()
    await publish('thing.changed', 'not received')
    await feed.confirm(soon())
    expect(received).toEqual([])
  })
})
