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
  readonly Aedes: { createBroker(options: BrokerOptions): Promise<Broker> }
}
interface BrokerOptions {
  /** Called when a client connects, before its session is resumed. */
  preConnect(
    client: ConnectedClient,
    packet: { readonly clientId: string; readonly clean: boolean },
    callback: (error: null, accepted: boolean) => void,
  ): void
}
/** A connection of a client. */
interface ConnectedClient {
  /** The packet id of the next message, at first random. */
  _nextId: number
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
  const nextIds = new SessionPacketIds()
  const broker = await Aedes.createBroker({
    preConnect: (client, { clientId, clean }, callback) => {
      if (clean) nextIds.forget(clientId)
      else nextIds.share(client, clientId)
      callback(null, true)
    },
  })
  markRedelivered(broker)
  return broker
}

/**
 * Lets the connections of a session count their packet ids together. aedes begins with a random one for each connection and finds a
 * message that is acknowledged by its id alone: if an earlier connection has used the id for a message that is not acknowledged, it
 * deletes one of the two instead of the other, and a client cannot distinguish them.
 */
class SessionPacketIds {
  readonly #counters = new Map<string, { next: number }>()

  /** Also with connections that are not closed yet. */
  share(client: ConnectedClient, clientId: string): void {
    const counter = this.#counters.get(clientId) ?? { next: client._nextId }
    this.#counters.set(clientId, counter)
    Object.defineProperty(client, '_nextId', {
      get: () => counter.next,
      set: (next: number) => {
        counter.next = next
      },
    })
  }

  forget(clientId: string): void {
    this.#counters.delete(clientId)
  }
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
