import { once } from 'node:events'
import { createServer } from 'node:net'
import { describe, expect, test } from 'vitest'
import { freePort } from '../../../../test/rig/servers.ts'
import { listen } from '../../../../test/rig/tcp-proxy.ts'
import { checkTcpSocket } from './checks.ts'
import { countOwnAnswers, type PortOccupant, watchPort } from './port-claim.ts'

const never = new AbortController().signal
const tree = { group: 2_000_000_000, runTag: 'run/web/1' }
const tcp = (port: number) => ({ type: 'tcp_socket', host: '127.0.0.1', port }) as const

/** Returns a check of the port as a system without a table of sockets makes it, and the occupants that it reports. */
function checkWithoutTable(port: number) {
  const watch = watchPort(tcp(port), tree, { atStart: () => null, now: () => null })
  if (watch === null) throw new Error('the port is not watched')
  const occupants: PortOccupant[] = []
  const check = countOwnAnswers(
    (signal) => checkTcpSocket('127.0.0.1', port, signal),
    watch,
    (occupant) => occupants.push(occupant),
  )
  return { check: () => check(never), occupants }
}

describe('watchPort (O-46)', () => {
  test('watches only a port of this machine that is in use', async () => {
    const port = await listen(createServer())
    expect(watchPort(tcp(port), tree)).not.toBeNull()
    expect(watchPort(tcp(await freePort()), tree)).toBeNull()
    expect(watchPort({ type: 'tcp_socket', host: '192.0.2.1', port }, tree)).toBeNull()
    expect(watchPort({ type: 'notify' }, tree)).toBeNull()
  })

  test('without a table of sockets, a port counts if it was free at the start', async () => {
    const port = await freePort()
    const { check } = checkWithoutTable(port)
    await expect(check()).rejects.toThrow('connection refused')
    await listen(createServer(), '127.0.0.1', port)
    await expect(check()).resolves.toBeUndefined()
  })

  test('without a table of sockets, a port that was in use counts once a connection has been refused', async () => {
    const before = createServer((peer) => peer.destroy())
    const port = await listen(before)
    const { check, occupants } = checkWithoutTable(port)
    const owner = 'a process that this system does not reveal'
    await expect(check()).rejects.toThrow(`answered by ${owner}, which had the port before`)
    await expect(check()).rejects.toThrow('answered by')
    expect(occupants).toEqual([{ port, owner }])
    before.close()
    await once(before, 'close')
    await expect(check()).rejects.toThrow('connection refused')
    await listen(createServer(), '127.0.0.1', port)
    await expect(check()).resolves.toBeUndefined()
  })
})
