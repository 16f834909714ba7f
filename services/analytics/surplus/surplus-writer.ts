import { ByteBudget } from '../../../src/domain/byte-budget.ts'
import { messageOf, PublishError } from '../../../src/domain/errors.ts'
import type { BundleQueue } from '../../../src/nats/bundle-queue.ts'
import type { EncodedDelivery, MessageResult } from '../../../src/nats/delivery.ts'
import { analyticsMetrics } from '../metrics.ts'
import { ACK, failed } from '../results.ts'

export interface SurplusWriterParts {
  readonly queue: Pick<BundleQueue, 'add'>
  /** Called when envelopes of an organization are stored. */
  onStored(organizationId: string, envelopes: number): void
}

interface OpenBundle {
  readonly messages: EncodedDelivery[]
  readonly budget: ByteBudget
  readonly result: Promise<MessageResult>
  readonly close: () => void
}

/** A bundle is stored when it has reached one of these, or after the time. */
const BUNDLE = { items: 512, bytes: 32 * 1024 }
const MAX_WAIT_MS = 250
/** All bundles are stored when they have so many envelopes, because these hold places of the consumer. */
const MAX_HELD = 800

/**
 * Stores envelopes that are beyond the share of their organization in bundles, which costs a fraction of processing them. Its memory is
 * bounded by the consumer, which counts each envelope until it has its result.
 */
export class SurplusWriter {
  readonly #parts: SurplusWriterParts
  readonly #open = new Map<string, OpenBundle>()
  #held = 0

  constructor(parts: SurplusWriterParts) {
    this.#parts = parts
  }

  /** Resolves with the result of an envelope when its bundle is stored, or cannot be stored; never rejects. */
  add(organizationId: string, message: EncodedDelivery): Promise<MessageResult> {
    const bundle = this.#open.get(organizationId) ?? this.#begin(organizationId)
    bundle.messages.push(message)
    bundle.budget.add(message.body.length + message.headerBlock.length)
    this.#held += 1
    if (bundle.budget.isFull) bundle.close()
    else if (this.#held >= MAX_HELD) this.#flush()
    return bundle.result
  }

  /** Stores what is held. */
  #flush(): void {
    for (const bundle of this.#open.values()) bundle.close()
  }

  #begin(organizationId: string): OpenBundle {
    const messages: EncodedDelivery[] = []
    let resolve = (): void => {}
    const closed = new Promise<void>((settle) => {
      resolve = settle
    })
    const close = (): void => {
      clearTimeout(timer)
      if (this.#open.get(organizationId) !== bundle) return
      this.#open.delete(organizationId)
      this.#held -= messages.length
      resolve()
    }
    const timer = setTimeout(close, MAX_WAIT_MS)
    const result = closed.then(() => this.#store(organizationId, messages))
    const bundle: OpenBundle = { messages, budget: new ByteBudget(BUNDLE), result, close }
    this.#open.set(organizationId, bundle)
    return bundle
  }

  async #store(organizationId: string, messages: readonly EncodedDelivery[]): Promise<MessageResult> {
    const cause = 'overloaded'
    try {
      await this.#parts.queue.add(organizationId, messages)
      analyticsMetrics.failed.inc({ cause, outcome: 'deferred' }, messages.length)
      this.#parts.onStored(organizationId, messages.length)
      return ACK
    } catch (error) {
      const kind = error instanceof PublishError ? 'dead_letter' : 'retry'
      const isFull = error instanceof PublishError && error.code === 'refused'
      const reason = isFull
        ? `organization ${organizationId} sends more than is processed, and its share of the surplus is full: ${messageOf(error)}; ` +
          'send less or simplify its payload conversions, then replay'
        : `the envelope cannot wait as surplus: ${messageOf(error)}`
      return failed({ kind, cause, reason, organizationId }, messages.length)
    }
  }
}
