import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { generate, type IPublishPacket, type Packet, parser } from 'mqtt-packet'

/** A message that the broker sends at QoS 1. */
export type BrokerMessage = Pick<IPublishPacket, 'topic' | 'payload'> & Partial<Pick<IPublishPacket, 'retain' | 'dup'>>

/** What the broker does with a client: nothing, refuse its user name and password, or serve it. */
export type BrokerConduct = 'silent' | 'refuse' | 'serve'

/** CONNACK codes for a bad user name or password (MQTT 3.1.1, 3.2.2.3; MQTT 5, 3.2.2.2). */
const BAD_PASSWORD = { returnCode: 4, reasonCode: 0x86 }
/** CONNACK codes for a version that the broker does not speak. */
const BAD_VERSION = { returnCode: 1, reasonCode: 0x84 }
const ACCEPTED = { returnCode: 0, reasonCode: 0 }

/** The connection of a client. */
export class BrokerConnection {
  readonly #socket: Socket
  readonly #version: number

  constructor(socket: Socket, version: number) {
    this.#socket = socket
    this.#version = version
  }

  send(packet: Packet): void {
    this.#socket.write(generate(packet, { protocolVersion: this.#version }))
  }

  publish(messageId: number, { topic, payload, retain = false, dup = false }: BrokerMessage): void {
    this.send({ cmd: 'publish', qos: 1, messageId, topic, payload, retain, dup })
  }

  /** Closes the connection without a further packet. */
  drop(): void {
    this.#socket.destroy()
  }
}

/** An MQTT broker, of 3.1.1 and 5, that does what a test says, also what no broker should do. */
export class ScriptedBroker implements AsyncDisposable {
  readonly port: number
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  conduct: BrokerConduct = 'serve'
  /** Whether it refuses MQTT 5. */
  isOld = false
  /** The number of CONNECT packets. */
  connects = 0
  /** The ids of the messages that clients have acknowledged, in order. */
  readonly acknowledged: number[] = []
  /** Called when a client has subscribed. */
  onSubscribed: (connection: BrokerConnection) => void = () => undefined
  /** Called when a client has acknowledged a message. */
  onAcknowledged: (connection: BrokerConnection, messageId: number) => void = () => undefined

  private constructor(server: Server, port: number) {
    this.#server = server
    this.port = port
    server.on('connection', (socket) => this.#accept(socket))
  }

  static async start(conduct: BrokerConduct): Promise<ScriptedBroker> {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const broker = new ScriptedBroker(server, typeof address === 'object' && address !== null ? address.port : 0)
    broker.conduct = conduct
    return broker
  }

  get url(): string {
    return `mqtt://127.0.0.1:${this.port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => undefined).on('close', () => this.#sockets.delete(socket))
    const packets = parser()
    let connection: BrokerConnection | undefined
    socket.on('data', (bytes) => packets.parse(bytes))
    packets.on('packet', (packet) => {
      if (packet.cmd === 'connect') {
        this.connects += 1
        if (this.conduct === 'silent') return
        const version = packet.protocolVersion ?? 4
        connection = new BrokerConnection(socket, version)
        const refusal = this.#refusalOf(version)
        connection.send({ cmd: 'connack', sessionPresent: false, ...(refusal ?? ACCEPTED) })
        if (refusal !== undefined) socket.end()
      } else if (packet.cmd === 'subscribe') {
        connection?.send({
          cmd: 'suback',
          messageId: packet.messageId ?? 0,
          granted: packet.subscriptions.map(() => 1),
        })
        if (connection !== undefined) this.onSubscribed(connection)
      } else if (packet.cmd === 'puback' && connection !== undefined) {
        this.acknowledged.push(packet.messageId ?? 0)
        this.onAcknowledged(connection, packet.messageId ?? 0)
      } else if (packet.cmd === 'pingreq') connection?.send({ cmd: 'pingresp' })
    })
  }

  #refusalOf(version: number) {
    if (this.isOld && version === 5) return BAD_VERSION
    return this.conduct === 'refuse' ? BAD_PASSWORD : undefined
  }
}
