import { once } from 'node:events'
import { createRequire } from 'node:module'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { npmInstall, provision, type Provisioning } from './provision.ts'
import { portError, type RunServer } from './server.ts'

const VERSION = '1.2.0'

const PORT = { server: 'the MQTT broker', flag: '--port', setting: 'PONIX_MQTT_PORT' }

/** What is used of aedes, which is installed only when the graph needs it. */
interface AedesModule {
  readonly Aedes: { createBroker(): Promise<Broker> }
}
interface Broker {
  handle(socket: Socket): unknown
  close(callback: () => void): void
}

export function provideMqtt(provisioning: Provisioning): Promise<string> {
  return provision(provisioning, {
    folder: `aedes-${VERSION}`,
    install: (draft) => npmInstall(draft, [`aedes@${VERSION}`], provisioning.signal),
  })
}

/** An MQTT 3.1.1 broker over TCP. It keeps sessions and retained messages in memory only. */
export const runMqtt: RunServer = async (options, signal) => {
  const broker = await createBroker(options.provisionDir)
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    broker.handle(socket)
  })
  try {
    server.listen(options.port, '127.0.0.1')
    await once(server, 'listening')
  } catch (error) {
    throw portError(options.port, PORT, error)
  }
  options.ready()
  if (!signal.aborted) await once(signal, 'abort')
  const closed = once(server, 'close')
  server.close()
  await new Promise<void>((resolve) => broker.close(resolve))
  for (const socket of sockets) socket.destroy()
  await closed
}

async function createBroker(provisionDir: string): Promise<Broker> {
  const path = createRequire(join(provisionDir, 'package.json')).resolve('aedes')
  const { Aedes }: AedesModule = await import(pathToFileURL(path).href)
  return Aedes.createBroker()
}
