import { describe, expect, test } from 'vitest'
import { connectTo, probeLog } from '../../test/rig/nats-client.ts'
import { startNats } from '../../test/rig/servers.ts'
import { TcpProxy } from '../../test/rig/tcp-proxy.ts'
import { LiveFeed } from './live-feed.ts'

const soon = (): AbortSignal => AbortSignal.timeout(30_000)

/** A feed of a NATS of its own, somebody who publishes, and what arrived. */
async function scene() {
  const server = await startNats()
  const log = probeLog()
  const client = await connectTo(server.url, log.logger)
  const publisherLog = probeLog()
  const publisher = await connectTo(server.url, publisherLog.logger)
  const heard: string[] = []
  const feed = new LiveFeed(client, ['thing.*', 'other.>'], ({ subject, body }) =>
    heard.push(`${subject} ${Buffer.from(body).toString()}`),
  )
  return {
    server,
    log,
    publisherLog,
    feed,
    heard,
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
  test('hears everything that was published between two confirmations', async () => {
    await using stage = await scene()
    const { feed, heard, publish } = stage
    expect(await feed.confirm(soon())).toBe(false)
    for (let index = 0; index < 1000; index++) await publish('thing.changed', String(index))
    await publish('other.deep.subject', 'too')
    await publish('something.else', 'not asked for')
    expect(await feed.confirm(soon())).toBe(true)
    expect(heard).toHaveLength(1001)
    expect(heard.slice(-2)).toEqual(['thing.changed 999', 'other.deep.subject too'])
  })

  test('says that something may be missing after NATS was away, and hears what comes then', async () => {
    await using stage = await scene()
    const { feed, heard, log, publish, publisherLog, server } = stage
    await feed.confirm(soon())
    await server.kill()
    await log.line('NATS went away')
    await expect(feed.confirm(soon())).rejects.toThrow('not connected to NATS')
    await server.start()
    await log.line('NATS is back')
    await publisherLog.line('NATS is back')
    await expect.poll(() => feed.confirm(soon()).catch(() => undefined)).toBe(false)
    await publish('thing.changed', 'after')
    expect(await feed.confirm(soon())).toBe(true)
    expect(heard).toEqual(['thing.changed after'])
  })

  test('rejects what was asked when NATS goes away before it answers, or nobody waits any longer', async () => {
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

  test('hears nothing once it is closed', async () => {
    await using stage = await scene()
    const { feed, heard, publish } = stage
    await feed.confirm(soon())
    feed.close()
    await publish('thing.changed', 'unheard')
    await feed.confirm(soon())
    expect(heard).toEqual([])
  })
})
