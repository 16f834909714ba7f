import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { describe, expect, inject, test } from 'vitest'
import { connectTo, probeLog } from '../../test/rig/adapters/nats-client.ts'
import { freePort, startNats } from '../../test/rig/servers.ts'
import { StartupError } from '../domain/errors.ts'
import { connectNats } from './connection.ts'

const soon = () => AbortSignal.timeout(5000)

describe('the connection', () => {
  test('R-6 reports an unreachable NATS in one line with its address and without its password', async () => {
    const port = await freePort()
    const { logger } = probeLog()
    const url = `nats://ponix:hunter2@127.0.0.1:${port}`
    const error = await connectNats({ url, name: 'test', startupTimeoutMs: 300, logger }).catch((e: unknown) => e)
    expect(error).toBeInstanceOf(StartupError)
    expect(String(error)).toMatch(new RegExp(`NATS at 127.0.0.1:${port} did not answer for 0.3 s: .*refused`, 'i'))
    expect(String(error)).not.toContain('hunter2')
  })

  test('R-6 waits for a silent server no longer than the timeout', async () => {
    const silent = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => silent.once('listening', resolve))
    const address = silent.address()
    const port = typeof address === 'object' ? address?.port : 0
    const { logger } = probeLog()
    const connecting = connectNats({ url: `nats://127.0.0.1:${port}`, name: 'test', startupTimeoutMs: 300, logger })
    await expect(connecting).rejects.toThrow(`NATS at 127.0.0.1:${port} did not answer for 0.3 s`)
    silent.close()
  })

  test('E-7 rejects a server that is too old in one line, without retrying', async () => {
    const { port } = new URL(inject('nats').url)
    // The old version is that of Debian 12; everything but the greeting is real.
    const old = createServer((socket) => {
      const upstream = connect(Number(port), '127.0.0.1')
      socket.on('error', () => upstream.destroy()).pipe(upstream)
      upstream.on('data', (chunk) =>
        socket.write(chunk.toString('latin1').replace(/"version":"[^"]*"/, '"version":"2.9.10"'), 'latin1'),
      )
      upstream.on('close', () => socket.destroy())
    }).listen(0, '127.0.0.1')
    await once(old, 'listening')
    const address = old.address()
    const oldPort = typeof address === 'object' ? address?.port : 0
    await expect(connectTo(`nats://127.0.0.1:${oldPort}`)).rejects.toThrow(
      `NATS at 127.0.0.1:${oldPort} has version 2.9.10; expected 2.10.5 or newer`,
    )
    old.close()
  })

  test('R-6 connects to NATS that starts while a service waits', async () => {
    await using server = await startNats()
    await server.stop()
    const log = probeLog()
    const connecting = connectTo(server.url, log.logger)
    await log.line('waiting for NATS')
    await server.start()
    await using client = await connecting
    await expect(client.ping(soon())).resolves.toBeUndefined()
  })

  test('R-5 N-6 the readiness check fails while NATS is down and passes afterwards; each change is logged once', async () => {
    await using server = await startNats()
    const log = probeLog()
    await using client = await connectTo(server.url, log.logger)
    await client.ping(soon())
    await server.kill()
    await log.line('NATS disconnected; reconnecting')
    await expect(client.ping(soon())).rejects.toThrow('not connected to NATS')
    await server.start()
    await log.line('NATS reconnected')
    await client.ping(soon())
    expect(log.count('NATS disconnected')).toBe(1)
    expect(log.count('NATS reconnected')).toBe(1)
  })

  test('N-7 drain sends buffered messages, closes, can be called twice, and logs nothing', async () => {
    await using watcher = await connectTo(inject('nats').url)
    const log = probeLog()
    const client = await connectTo(inject('nats').url, log.logger)
    const subject = `drain-${process.pid}-${Date.now()}`
    let received = 0
    watcher.connection.subscribe(subject, { callback: () => void received++ })
    await watcher.connection.flush()
    for (let index = 0; index < 1000; index++) client.connection.publish(subject, 'x')
    await client.drain()
    await client.drain()
    await watcher.connection.flush()
    expect(received).toBe(1000)
    expect(client.connection.isClosed()).toBe(true)
    expect(log.lines.filter(({ level }) => level !== 'debug')).toEqual([])
  })

  test('N-7 drain closes the connection while NATS is down', async () => {
    await using server = await startNats()
    const log = probeLog()
    const client = await connectTo(server.url, log.logger)
    await server.kill()
    await log.line('NATS disconnected')
    await client.drain()
    expect(client.connection.isClosed()).toBe(true)
  })
})
