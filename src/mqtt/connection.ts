import type { Socket } from 'node:net'
import { generate, type IPublishPacket, type Packet, parser, type Parser } from 'mqtt-packet'
import { messageOf } from '../domain/errors.ts'
import type { BrokerAddress } from '../domain/gateway-topics/subscription.ts'
import { brokerPlace, openSocket } from './broker.ts'
import { FrameReader, readPublishHead } from './frame-reader.ts'
import type { MqttMessage, MqttOrigin } from './message.ts'
import {
  connectPacket,
  type ConnectRequest,
  disconnectPacket,
  isConnack,
  isPublish,
  KEEP_ALIVE_SECS,
  messageOfPublish,
  type MqttVersion,
  subscribePacket,
  subscribeRejection,
} from './packets.ts'
import { CLOSED, ClosedWithoutAnswer, ConnectionRefused, reasonOf } from './reason-codes.ts'

export interface ConnectionOptions extends ConnectRequest {
  /** The largest packet that is buffered. */
  readonly maxPacketBytes: () => number
  /** Called before CONNECT, by which a broker closes the connection of another instance. If it throws, the connection is closed instead. */
  readonly assertOwned: () => void
}

const CONNECT_TIMEOUT_MS = 10_000
const END_TIMEOUT_MS = 500
const MAX_PACKET_ID = 65_535

/** Connects; rejects if the broker refuses the client or does not answer within 10 s, or if the signal aborts. */
export async function openConnection(options: ConnectionOptions, signal: AbortSignal): Promise<MqttConnection> {
  signal.throwIfAborted()
  const connection = new MqttConnection(options)
  const onAbort = (): void => connection.destroy('aborted')
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    await connection.opened
    return connection
  } catch (error) {
    signal.throwIfAborted()
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** A connection to a broker. It is paused when it opens: call `listen`. */
export class MqttConnection {
  readonly version: MqttVersion
  /** Resolves with the reason when the connection has ended. */
  readonly closed: Promise<string>
  readonly opened: Promise<void>
  readonly #origin: MqttOrigin
  readonly #socket: Socket
  readonly #parser: Parser
  readonly #reader: FrameReader
  readonly #requests = new Map<number, (reply: Packet) => void>()
  #nextId = 1
  #onMessage: (message: MqttMessage) => void = () => undefined
  #onConnack: (packet: Packet) => void = () => undefined
  #sessionPresent = false
  #keepAlive: NodeJS.Timeout | undefined
  #isPaused = false
  #isSilent = false
  #isCorked = false
  readonly #brokerPlace: string
  #hasBytes = false
  /** Whether the broker has answered with CONNACK. */
  #hasAnswered = false
  #reason: string | undefined

  constructor(options: ConnectionOptions) {
    const { version, broker } = options
    this.#origin = { clientId: options.clientId }
    this.version = version
    this.#brokerPlace = brokerPlace(broker)
    const { socket, readyEvent } = openSocket(broker)
    this.#socket = socket
    this.#parser = parser({ protocolVersion: version })
    this.#parser.on('packet', (packet) => this.#onPacket(packet))
    this.#parser.on('error', (error) => this.#reject(messageOf(error)))
    this.#reader = new FrameReader({
      maxBytes: options.maxPacketBytes,
      onFrame: (frame) => void this.#parser.parse(frame),
      onOversized: (head, bytes) => this.#onOversized(head, bytes),
    })
    this.closed = new Promise((resolve) => {
      socket.on('close', () => resolve(this.#onClose()))
    })
    socket.on('error', (error) => (this.#reason ??= messageOf(error)))
    socket.on('data', (chunk) => this.#onData(chunk))
    socket.once(readyEvent, () => this.#guarded(() => this.#connect(options)))
    this.opened = this.#handshake()
  }

  /** Undefined if the connection is not open. */
  get brokerAddress(): BrokerAddress | undefined {
    const { remoteAddress: address, remotePort: port } = this.#socket
    return address === undefined || port === undefined ? undefined : { address, port }
  }

  /** Whether the broker had a session of the client id. */
  get sessionPresent(): boolean {
    return this.#sessionPresent
  }

  get isClosed(): boolean {
    return this.#reason !== undefined
  }

  /** Passes messages to the handler, which must not throw. */
  listen(onMessage: (message: MqttMessage) => void): void {
    this.#onMessage = onMessage
    this.resume()
  }

  /** Reads nothing further, so that the broker waits. */
  pause(): void {
    this.#isPaused = true
    this.#reader.pause()
    this.#socket.pause()
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#guarded(() => this.#reader.resume())
    // A message may have paused the connection again.
    if (!this.#isPaused) this.#socket.resume()
  }

  acknowledge(packetId: number): void {
    this.#send({ cmd: 'puback', messageId: packetId, reasonCode: 0 })
  }

  /** Subscribes; rejects with the reason of the broker, or if the connection ends. */
  async subscribe(topicFilter: string, identifier: number, retained: boolean, qos: 0 | 1): Promise<void> {
    const request = { topicFilter, identifier, retained, qos }
    const reply = await this.#request((messageId) => subscribePacket(this.version, messageId, request))
    const rejection = subscribeRejection(topicFilter, reply)
    if (rejection !== undefined) throw new Error(rejection)
  }

  async unsubscribe(topicFilter: string): Promise<void> {
    await this.#request((messageId) => ({ cmd: 'unsubscribe', messageId, unsubscriptions: [topicFilter] }))
  }

  /** Sends what is written, disconnects and closes the connection. With MQTT 5 the broker can be told to end the session. */
  async end({ endsSession = false, reason = 'disconnected' } = {}): Promise<void> {
    this.#reason ??= reason
    this.#send(disconnectPacket(this.version, endsSession))
    this.#socket.end()
    // Discards what arrives, because a socket that is paused does not close.
    this.#reader.pause()
    this.#socket.resume()
    const timer = setTimeout(() => this.#socket.destroy(), END_TIMEOUT_MS)
    await this.closed
    clearTimeout(timer)
  }

  /** Closes the connection without acknowledgements. */
  destroy(reason: string): void {
    this.#reason ??= reason
    this.#socket.destroy()
  }

  #onData(chunk: Buffer): void {
    this.#isSilent = false
    if (this.#socket.writableEnded) return
    // Not only the parser checks this, because text can look like the begin of a long packet.
    if (!this.#hasBytes && !isConnack(chunk)) return this.#reject('its answer is not CONNACK')
    this.#hasBytes = true
    this.#guarded(
      () => this.#reader.push(chunk),
      (reason) => this.#reject(reason),
    )
  }

  /** Closes the connection if a step fails, which no caller could report. */
  #guarded(step: () => void, close = (reason: string): void => this.destroy(reason)): void {
    try {
      step()
    } catch (error) {
      close(messageOf(error))
    }
  }

  /** Closes the connection because of what the server has sent. */
  #reject(reason: string): void {
    if (this.#hasAnswered) return this.destroy(reason)
    this.destroy(`the server at ${this.#brokerPlace} does not speak MQTT; check the port (${reason})`)
  }

  async #handshake(): Promise<void> {
    const answered = new Promise<Packet>((resolve) => (this.#onConnack = resolve))
    const timer = setTimeout(
      () => this.destroy(`no answer from the broker within ${CONNECT_TIMEOUT_MS / 1000} s`),
      CONNECT_TIMEOUT_MS,
    )
    const closed = this.closed.then((reason) => {
      throw reason === CLOSED ? new ClosedWithoutAnswer(reason) : new Error(reason)
    })
    try {
      const packet = await Promise.race([answered, closed])
      if (packet.cmd !== 'connack') throw new Error(`protocol error: ${packet.cmd} instead of connack`)
      const code = packet.reasonCode ?? packet.returnCode ?? 0
      if (code !== 0) throw new ConnectionRefused(code)
      this.#sessionPresent = packet.sessionPresent
      this.#startKeepAlive(packet.properties?.serverKeepAlive ?? KEEP_ALIVE_SECS)
    } catch (error) {
      this.destroy(messageOf(error))
      throw error
    } finally {
      clearTimeout(timer)
    }
  }

  #connect(options: ConnectionOptions): void {
    options.assertOwned()
    this.#send(connectPacket(options))
  }

  /** Sends a ping twice per keep-alive time; a broker that sends nothing until the next ping is not alive. */
  #startKeepAlive(secs: number): void {
    if (secs === 0) return
    this.#keepAlive = setInterval(() => {
      // A paused connection does not read the answer.
      if (this.#isSilent && !this.#isPaused) return this.destroy('the broker does not answer')
      this.#isSilent = true
      this.#send({ cmd: 'pingreq' })
    }, secs * 500)
  }

  #onPacket(packet: Packet): void {
    const { cmd } = packet
    if (cmd === 'publish') return this.#onPublish(packet)
    if (cmd === 'connack') {
      this.#hasAnswered = true
      // Messages of the session can follow in the same chunk.
      this.pause()
      this.#onConnack(packet)
    } else if (cmd === 'suback' || cmd === 'unsuback') {
      const id = packet.messageId ?? 0
      const resolve = this.#requests.get(id)
      this.#requests.delete(id)
      resolve?.(packet)
    } else if (cmd === 'disconnect') this.destroy(reasonOf(packet.reasonCode ?? 0))
    else if (cmd !== 'pingresp') this.destroy(`protocol error: unexpected ${cmd}`)
  }

  #onPublish(packet: IPublishPacket): void {
    if (packet.qos === 2) return this.destroy('protocol error: a message at QoS 2 for a subscription at QoS 1')
    this.#onMessage(messageOfPublish(packet, this.#origin))
  }

  #onOversized(head: Buffer, bytes: number): void {
    if (!isPublish(head)) return this.destroy(`protocol error: a packet of ${bytes} bytes`)
    const { payloadBytes, ...message } = readPublishHead(head, bytes, this.version)
    const omitted = { payload: Buffer.alloc(0), omittedBytes: payloadBytes }
    this.#onMessage({ ...message, ...omitted, origin: this.#origin, identifiers: [] })
  }

  #onClose(): string {
    clearInterval(this.#keepAlive)
    this.#reason ??= CLOSED
    for (const resolve of this.#requests.values()) resolve({ cmd: 'disconnect', reasonCode: 0 })
    this.#requests.clear()
    return this.#reason
  }

  /** Sends a packet with a free id; resolves with the reply. */
  async #request(packetOf: (messageId: number) => Packet): Promise<Packet> {
    while (this.#requests.has(this.#nextId)) this.#nextId = (this.#nextId % MAX_PACKET_ID) + 1
    const messageId = this.#nextId
    const reply = await new Promise<Packet>((resolve) => {
      this.#requests.set(messageId, resolve)
      this.#send(packetOf(messageId))
    })
    if (reply.cmd === 'disconnect') throw new Error(this.#reason)
    return reply
  }

  /** Writes all packets of one turn of the event loop together. */
  #send(packet: Packet): void {
    if (this.#socket.destroyed || this.#socket.writableEnded) return
    if (!this.#isCorked) {
      this.#isCorked = true
      this.#socket.cork()
      process.nextTick(() => {
        this.#isCorked = false
        this.#socket.uncork()
      })
    }
    this.#socket.write(generate(packet, { protocolVersion: this.version }))
  }
}
