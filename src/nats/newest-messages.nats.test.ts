import { expect, it } from 'vitest'
import { connectTo } from '../../test/rig/adapters/nats-client.ts'
import { startNats } from '../../test/rig/servers.ts'
import { TcpProxy } from '../../test/rig/tcp-proxy.ts'
import { readNewestHeaders } from './newest-messages.ts'
import { ensureStreams } from './streams.ts'

it('G-8: reading the newest messages ends although NATS restarts meanwhile', async () => {
  await using nats = await startNats()
  let onPull: (() => void) | undefined
  await using proxy = await TcpProxy.start(nats.url, (link) => ({
    fromClient(bytes) {
      if (!bytes.includes('CONSUMER.MSG.NEXT') || onPull === undefined) return link.toServer(bytes)
      onPull()
      onPull = undefined
    },
    fromServer: (bytes) => link.toClient(bytes),
  }))
  const client = await connectTo(`nats://127.0.0.1:${proxy.port}`)
  await ensureStreams(client, [{ name: 'readings', subjects: ['readings.>'] }])
  await client.jetstream.publish('readings.a', '1', { msgID: 'one' })
  const query = { stream: 'readings', subject: 'readings.a', count: 10, withinMs: 60_000 }
  const restarted = new Promise<void>((resolve, reject) => {
    onPull = () => {
      nats
        .kill()
        .then(() => nats.start())
        .then(resolve, reject)
    }
  })
  await expect(readNewestHeaders(client, query)).rejects.toBeInstanceOf(Error)
  await restarted
  await client.link.untilConnected(AbortSignal.timeout(20_000))
  expect((await readNewestHeaders(client, query)).map((headers) => headers.get('Nats-Msg-Id'))).toEqual(['one'])
  await client.drain()
}, 60_000)
