import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import type { Gateway } from '../../src/domain/entities.ts'
import { findOverlaps, overlapText, type ReceivingGateway } from '../../src/domain/gateway-topics/overlaps.ts'
import {
  type BrokerAddress,
  type GatewaySubscription,
  subscriptionOf,
} from '../../src/domain/gateway-topics/subscription.ts'
import type { Logger } from '../../src/runner/logger.ts'

export interface OverlapWarningsParts {
  /** Returns all gateways, also those of other instances. */
  readonly desired: () => Iterable<Gateway>
  /** Returns where a gateway is connected, null before its first connection; undefined if this instance does not run it. */
  readonly connectedTo: (gatewayId: string) => BrokerAddress | null | undefined
  readonly logger: Logger
}

const INTERVAL_MS = 1_000
/** The part of the time that comparisons take at most, if gateways change continuously. */
const MAX_SHARE = 0.05
/** The number of gateways that are compared before other work continues. */
const BATCH_SIZE = 500
/** The number of pairs that one comparison logs. */
const MAX_LOGGED = 100

/**
 * Warns of gateways of this instance that may receive the same messages as another gateway. Compares all gateways after any has
 * changed or connected, so a warning ends with its cause.
 */
export class OverlapWarnings {
  readonly #parts: OverlapWarningsParts
  readonly #subscriptions = new WeakMap<Gateway, GatewaySubscription>()
  #isOutdated = true
  #warnings: ReadonlyMap<string, string> = new Map()
  #pairs: ReadonlySet<string> = new Set()

  constructor(parts: OverlapWarningsParts) {
    this.#parts = parts
  }

  /** Returns the warning of a gateway. */
  of(gatewayId: string): string | null {
    return this.#warnings.get(gatewayId) ?? null
  }

  /** The number of gateways with a warning. */
  get count(): number {
    return this.#warnings.size
  }

  /** Must be called when a gateway has changed or connected. */
  changed(): void {
    this.#isOutdated = true
  }

  async run(signal: AbortSignal): Promise<void> {
    let waitMs = INTERVAL_MS
    while (!signal.aborted) {
      await sleep(waitMs, undefined, { signal }).catch(() => undefined)
      if (!this.#isOutdated || signal.aborted) continue
      this.#isOutdated = false
      const startedAtMs = performance.now()
      await this.#compare(signal)
      waitMs = Math.max(INTERVAL_MS, (performance.now() - startedAtMs) / MAX_SHARE)
    }
  }

  async #compare(signal: AbortSignal): Promise<void> {
    const warnings = new Map<string, string>()
    const pairs = new Map<string, readonly [ReceivingGateway, string]>()
    let compared = 0
    for (const [gateway, other] of findOverlaps(this.#receiving())) {
      if (++compared % BATCH_SIZE === 0) await nextTurn()
      if (signal.aborted) return
      if (other === null || this.#parts.connectedTo(gateway.gatewayId) === undefined) continue
      const text = overlapText(gateway, other)
      warnings.set(gateway.gatewayId, text)
      pairs.set([gateway.gatewayId, other.gatewayId].toSorted().join(' '), [gateway, text])
    }
    this.#warnings = warnings
    this.#log([...pairs].flatMap(([pair, found]) => (this.#pairs.has(pair) ? [] : [found])))
    this.#pairs = new Set(pairs.keys())
  }

  *#receiving(): Iterable<ReceivingGateway> {
    for (const gateway of this.#parts.desired()) {
      const { gatewayId, organizationId } = gateway
      const subscription = this.#subscriptionOf(gateway)
      const connectedTo = this.#parts.connectedTo(gatewayId) ?? null
      if (subscription !== null) yield { gatewayId, organizationId, subscription, connectedTo }
    }
  }

  #subscriptionOf(gateway: Gateway): GatewaySubscription | null {
    const known = this.#subscriptions.get(gateway)
    if (known !== undefined) return known
    const subscription = subscriptionOf(gateway)
    if (subscription === null) return null
    this.#subscriptions.set(gateway, subscription)
    return subscription
  }

  #log(found: readonly (readonly [ReceivingGateway, string])[]): void {
    const { logger } = this.#parts
    for (const [{ gatewayId, organizationId }, text] of found.slice(0, MAX_LOGGED)) {
      const ids = { gateway_id: gatewayId, organization_id: organizationId }
      logger.warn(ids, `gateway ${text}; choose another topic, or delete one of them`)
    }
    if (found.length > MAX_LOGGED) {
      const more = found.length - MAX_LOGGED
      logger.warn({ pairs: more }, 'further gateways may receive the same messages as others; see /gateways')
    }
  }
}
