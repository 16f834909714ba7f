import { once } from 'node:events'
import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { freePort } from './servers.ts'

test('a free port stays reserved: no other process gets it from the operating system, and a server can listen on it', async () => {
  const ports = new Set<number>()
  for (let number = 0; number < 100; number += 1) ports.add(await freePort())
  expect(ports.size).toBe(100)
  const given: (number | undefined)[] = []
  for (let number = 0; number < 3000; number += 1) given.push(await listenOn(0))
  expect(given.filter((port) => port === undefined || ports.has(port))).toEqual([])
  for (const port of ports) expect(await listenOn(port)).toBe(port)
})

/** Listens on a port for a moment; 0 leaves the choice to the operating system. Resolves with the port. */
async function listenOn(wanted: number): Promise<number | undefined> {
  const server = createServer().listen(wanted, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'string' ? undefined : address?.port
}
