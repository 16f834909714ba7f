import { evictOldest } from '../domain/fifo.ts'
import { ClosedWithoutAnswer, type ConnectionOptions, type MqttConnection, openConnection } from './connection.ts'
import type { MqttVersion } from './packets.ts'
import { ConnectionRefused } from './reason-codes.ts'

const MAX_BROKERS = 10_000

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
