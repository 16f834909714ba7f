import { once } from 'node:events'
import { createRequire } from 'node:module'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { pathToFileURL } from 'node:url'
import { provisionPackage, type Provisioning } from './provision.ts'
import { listen, type RunServer } from './server.ts'

/** The used part of aedes, which is installed when the graph needs it. */
interface AedesModule {
  readonly Aedes: { createBroker(): Promise<Broker> }
}
interface Broker {
  readonly persistence: { outgoingStream(client: unknown): Readable }
  handle(socket: Socket): unknown
  close(callback: () => void): void
}

export function provideMqtt(provisioning: Provisioning): Promise<string> {
  return provisionPackage(provisioning, 'aedes', '1.2.0')
}

/** An MQTT 3.1.1 broker over TCP, with sessions and retained messages in memory. */
export const runMqtt: RunServer = async ({ provisionDir, port, ready }, signal) => {
  const broker = await createBroker(provisionDir)
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    broker.handle(socket)
  })
  await listen(server, port, 'the MQTT broker', 'PONIX_MQTT_PORT')
  ready()
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
  const broker = await Aedes.createBroker()
  markRedelivered(broker)
  return broker
}

/** A message that waits for a session. */
interface QueuedPacket {
  /** Set when the message is sent. */
  readonly messageId?: number
  dup: boolean
}

/** Marks what was sent in an earlier connection of a session, as MQTT requires (3.1.1, [MQTT-3.3.1-1]) and aedes does not. */
function markRedelivered({ persistence }: Broker): void {
  const queueOf = persistence.outgoingStream.bind(persistence)
  persistence.outgoingStream = (client) =>
    queueOf(client).map((packet: QueuedPacket) => {
      if (packet.messageId !== undefined) packet.dup = true
      return packet
    })
}
