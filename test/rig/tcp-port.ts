import { once } from 'node:events'
import type { Server } from 'node:net'
import { onTestFinished } from 'vitest'

/** Lets a server listen until the test is over; resolves with its port. */
export async function listen(server: Server, host = '127.0.0.1', port = 0): Promise<number> {
  onTestFinished(() => void server.close())
  server.listen(port, host)
  await once(server, 'listening')
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('it has no port')
  return address.port
}
