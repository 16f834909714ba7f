import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { DeferredMessages } from '../../src/nats/deferred-messages.ts'
import type { Delivery, EncodedDelivery, MessageResult } from '../../src/nats/delivery.ts'
import { decodeRaw, concludeRaw, type ProcessRawParts } from './raw-consumer.ts'
import { ACK, failed } from './results.ts'
import type { SurplusWriter } from './surplus/surplus-writer.ts'

export interface DeferredConsumerParts extends ProcessRawParts {
  readonly deferred: Pick<DeferredMessages, 'has'>
  readonly surplus: Pick<SurplusWriter, 'add'>
  readonly waitMs: number
}

/**
 * Handles deferred envelopes: each waits for its time, is processed once more, and becomes a dead letter if its device is still
 * unknown. All wait equally long, so that only the oldest ones have to be held. `stopping` ends the wait.
 */
export function createDeferredHandler(parts: DeferredConsumerParts, stopping: AbortSignal) {
  setMaxListeners(0, stopping)
  return async (batch: readonly EncodedDelivery[], signal: AbortSignal): Promise<readonly Promise<MessageResult>[]> => {
    setMaxListeners(0, signal)
    return batch.map(async (delivery): Promise<MessageResult> => {
      const isDue = await sleep(remainingMs(parts, delivery), true, { signal: stopping }).catch(() => false)
      if (!isDue) return { kind: 'retry', reason: 'the service stops before the wait of the envelope has ended' }
      return await handleDue(parts, delivery, signal)
    })
  }
}

/** Returns the rest of the wait, which is never longer than the whole wait, even if the clock of NATS is ahead. */
function remainingMs({ waitMs }: DeferredConsumerParts, { storedAtMs }: Delivery): number {
  return Math.max(0, Math.min(waitMs, storedAtMs + waitMs - Date.now()))
}

async function handleDue(
  parts: DeferredConsumerParts,
  delivery: EncodedDelivery,
  signal: AbortSignal,
): Promise<MessageResult> {
  // A scan removes the envelopes that it has published.
  if (!(await parts.deferred.has(delivery.streamSequence))) return ACK
  const raw = decodeRaw(delivery)
  if ('kind' in raw) return failed(raw)
  return await concludeRaw(parts, delivery, raw, signal, {
    whenUnknown: (unknown) => failed({ ...unknown, kind: 'dead_letter' }),
    whenFull: () => parts.surplus.add(raw.organizationId, delivery),
  })
}
