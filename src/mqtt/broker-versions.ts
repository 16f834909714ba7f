import type { GatewayBroker } from '../domain/gateway-config.ts'
import { evictOldest } from '../domain/fifo.ts'
import { type ConnectionOptions, type MqttConnection, openConnection } from './connection.ts'
import type { MqttVersion } from './packets.ts'
import { ClosedWithoutAnswer, ConnectionRefused } from './reason-codes.ts'
import { timeoutSignal } from '../runner/timeout-signal.ts'

const MAX_BROKERS = 10_000
/** The time in which a session is ended by a further connection. */
const END_SESSION_MS = 2000

/** Connects with MQTT 5, or with MQTT 3.1.1 to a broker that does not speak it, and remembers which. */
export class BrokerVersions {
  readonly #versions = new Map<string, MqttVersion>()

  async open(options: Omit<ConnectionOptions, 'version'>, signal: AbortSignal): Promise<MqttConnection> {
    const { brokerUrl } = options.broker
    const known = this.#versions.get(brokerUrl)
    const first = known ?? 5
    try {
      return this.#remember(brokerUrl, await openConnection({ ...options, version: first }, signal))
    } catch (error) {
      const isVersion = error instanceof ConnectionRefused && error.isVersion
      // A broker of MQTT 3.1.1 may close the connection instead of an answer (3.1.2-2).
      if (!isVersion && !(known === undefined && error instanceof ClosedWithoutAnswer)) throw error
    }
    return this.#remember(brokerUrl, await openConnection({ ...options, version: first === 5 ? 4 : 5 }, signal))
  }

  #remember(brokerUrl: string, connection: MqttConnection): MqttConnection {
    this.#versions.delete(brokerUrl)
    this.#versions.set(brokerUrl, connection.version)
    evictOldest(this.#versions, MAX_BROKERS)
    return connection
  }
}

interface SessionPlace {
  readonly broker: GatewayBroker | undefined
  readonly clientId: string
  readonly versions: BrokerVersions
  readonly maxPacketBytes: () => number
  readonly assertOwned: () => void
}

/** Closes a connection and ends its session, so that the broker forgets its subscriptions and messages. */
export async function endSession(connection: MqttConnection, place: SessionPlace): Promise<void> {
  await connection.end({ endsSession: true })
  const { broker, versions, ...options } = place
  if (connection.version === 5 || broker === undefined) return
  // With MQTT 3.1.1 a connection with a clean session ends the old one (3.1.2.4).
  await versions.open({ ...options, broker, clean: true }, timeoutSignal(END_SESSION_MS)).then(
    (last) => last.end(),
    () => undefined,
  )
}
