import { readFile, rm, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { describe, expect, it } from 'vitest'
import { embedded } from '../../test/rig/program.ts'
import { freePort, startNats } from '../../test/rig/servers.ts'

describe('embedded NATS (E-2)', () => {
  it('keeps every acknowledged message after SIGKILL and after a clean stop, repeatedly', async () => {
    await using server = await startNats()
    await withConnection(server.url, async (connection) => {
      const manager = await jetstreamManager(connection)
      await manager.streams.add({ name: 'kept', subjects: ['kept.>'] })
    })
    let sent = 0
    for (const end of ['kill', 'stop', 'kill', 'kill'] as const) {
      await withConnection(server.url, async (connection) => {
        for (let i = 0; i < 50; i += 1) await jetstream(connection).publish('kept.a', `${(sent += 1)}`)
      })
      await server[end]()
      await server.start()
      await withConnection(server.url, async (connection) => {
        const { state } = await (await jetstreamManager(connection)).streams.info('kept')
        expect(state).toMatchObject({ messages: sent, last_seq: sent })
      })
    }
  })

  it.each([
    [{}, '1s'],
    [{ PONIX_NATS_SYNC_INTERVAL: 'always' }, 'always'],
  ])('E-7 syncs to disk at the interval that the environment %j sets', async (env, interval) => {
    const folder = await mkdtemp(join(tmpdir(), 'ponix-nats-'))
    const run = embedded(['nats', '--port', String(await freePort()), '--data', folder], env)
    await run.ready()
    expect(await readFile(join(folder, 'nats-server.conf'), 'utf8')).toContain(`sync_interval: ${interval}\n`)
    run.signal('SIGTERM')
    await run.outcome
    await rm(folder, { recursive: true })
  })

  it('serves its monitoring on a separate port, and reports a monitoring port in use', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ponix-nats-'))
    const [port, monitoring] = [await freePort(), await freePort()]
    const args = ['nats', '--port', String(port), '--monitoring-port', String(monitoring), '--data', join(folder, 'a')]
    const run = embedded(args)
    await run.ready()
    const answer = await fetch(`http://127.0.0.1:${monitoring}/jsz`)
    expect(await answer.json()).toMatchObject({ streams: 0, config: { store_dir: expect.stringContaining(folder) } })
    const second = ['nats', '--port', String(await freePort()), '--monitoring-port', String(monitoring)]
    const { code, stdout } = await embedded([...second, '--data', join(folder, 'b')]).outcome
    run.signal('SIGTERM')
    await run.outcome
    await rm(folder, { recursive: true })
    expect(code).toBe(1)
    expect(stdout).toContain(`port ${monitoring} of 127.0.0.1, which NATS' monitoring needs, is in use`)
  })
})

async function withConnection(
  url: string,
  work: (connection: Awaited<ReturnType<typeof connect>>) => Promise<void>,
): Promise<void> {
  const connection = await connect({ servers: url })
  await work(connection)
  await connection.close()
}
