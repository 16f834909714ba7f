import { randomUUID } from 'node:crypto'
import { credentialsKey } from './broker.ts'
import type { BrokerVersions } from './broker-versions.ts'
import type { MqttSubscription } from './subscriber.ts'

interface CredentialChecksParts {
  readonly versions: BrokerVersions
  readonly maxPacketBytes: () => number
}

/** The time for which the answer of the broker counts. */
const VALID_MS = 5000

/** Asks brokers whether they accept credentials, with a connection that has no session. Checks within a short time share the answer. */
export class CredentialChecks {
  readonly #parts: CredentialChecksParts
  readonly #checks = new Map<string, Promise<void>>()

  constructor(parts: CredentialChecksParts) {
    this.#parts = parts
  }

  /** Rejects unless the broker accepts the credentials of the subscription. */
  async check({ broker, assertOwned }: MqttSubscription, signal: AbortSignal): Promise<void> {
    const key = credentialsKey(broker)
    let check = this.#checks.get(key)
    if (check === undefined) {
      const { versions, maxPacketBytes } = this.#parts
      const options = {
        broker,
        clientId: `ponix-${randomUUID().slice(0, 8)}`,
        maxPacketBytes,
        assertOwned,
        clean: true,
      }
      check = versions.open(options, signal).then((connection) => connection.end())
      this.#checks.set(key, check)
      const forget = (): void => void setTimeout(() => this.#checks.delete(key), VALID_MS).unref()
      check.then(forget, forget)
    }
    await check
  }
}
