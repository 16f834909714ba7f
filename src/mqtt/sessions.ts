import { createHash } from 'node:crypto'
import type { GatewayBroker } from '../domain/gateway-config.ts'
import { BrokerVersions } from './broker-versions.ts'
import { identityOf } from './broker.ts'
import { InFlightBudget } from './in-flight-budget.ts'
import { MqttSession } from './session.ts'
import type { MqttSubscription } from './subscriber.ts'

/** The gateways that can share a session: those of a shard, so that it can move to another instance with its session. */
export interface SessionPlace {
  readonly shard: number
  readonly organizationId: string
}

/** The sessions of all gateways: one for each shard, organization, broker and user. */
export class MqttSessions {
  readonly #maxPacketBytes: () => number
  readonly #budget: InFlightBudget
  readonly #versions = new BrokerVersions()
  readonly #sessions = new Map<string, MqttSession>()

  /** `maxPacketBytes`: the largest packet that is buffered. */
  constructor(maxPacketBytes: () => number, budget = new InFlightBudget()) {
    this.#maxPacketBytes = maxPacketBytes
    this.#budget = budget
  }

  /** Subscribes as `MqttSession.subscribe` does. */
  async subscribe(place: SessionPlace, subscription: MqttSubscription, signal: AbortSignal): Promise<void> {
    const clientId = clientIdOf(place, subscription.broker)
    const session = this.#sessions.get(clientId) ?? this.#open(clientId, place.organizationId)
    this.#sessions.set(clientId, session)
    try {
      await session.subscribe(subscription, signal)
    } finally {
      this.#forget(clientId, session)
    }
  }

  #open(clientId: string, owner: string): MqttSession {
    const [versions, maxPacketBytes, budget] = [this.#versions, this.#maxPacketBytes, this.#budget]
    return new MqttSession({ clientId, versions, maxPacketBytes, budget, owner })
  }

  /** Forgets an unused session; after failures later, so that a new subscriber keeps to the delay before the next attempt. */
  #forget(clientId: string, session: MqttSession): void {
    if (session.isUnused && this.#sessions.get(clientId) === session) this.#sessions.delete(clientId)
    else if (session.idleMs > 0) setTimeout(() => this.#forget(clientId, session), session.idleMs).unref()
  }
}

/** Returns a stable client id; every broker accepts 23 letters and digits (MQTT 3.1.1, 3.1.3.1). Credentials can change within a session. */
export function clientIdOf({ shard, organizationId }: SessionPlace, broker: GatewayBroker): string {
  const identity = JSON.stringify([shard, organizationId, identityOf(broker)])
  return `ponix${createHash('sha256').update(identity).digest('hex').slice(0, 18)}`
}
