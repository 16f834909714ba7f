import { PublishError, ConversionError, messageOf } from '../../src/domain/errors.ts'
import type { OrderedPublisher } from '../../src/nats/publisher/producer.ts'
import type { Publication } from '../../src/nats/publisher/publication.ts'
import { qualifiedName, type Change, formatLsn, type Relation } from '../../src/postgres/replication/change.ts'
import type { Logger } from '../../src/runner/logger.ts'
import type { Action, Entity } from './entity.ts'
import { ACTIONS, EventFactory } from './event.ts'

/** Stores a change that cannot become an event. */
export type DeadLetterWriter = (entity: Entity, change: Change, messageId: string, reason: string) => Promise<void>

export interface ChangePublisherOptions {
  readonly slot: string
  readonly entities: readonly Entity[]
  readonly openPublisher: () => OrderedPublisher
  /** Without it, a change that cannot become an event stalls the flow. */
  readonly deadLetter: DeadLetterWriter | undefined
  /** Throws a PublishError if NATS does not accept an event of this size. */
  readonly checkSize: (event: Publication) => void
  /** The interval between attempts to publish the change that stalls the flow. */
  readonly retryDelayMs: number
  readonly logger: Logger
}

/** An entity and the number of its stored events. */
interface EntityCounts {
  readonly entity: Entity
  readonly counts: Record<Action, number>
}

interface QueuedChange {
  readonly target: EntityCounts
  readonly change: Change
  readonly stored: () => void
  readonly refused: (error: unknown) => void
}

/**
 * Converts changes to events and publishes them in order. A change that cannot become an event is stored as a dead letter, or
 * stalls the flow: this and all following changes are queued, and it is retried. Nothing is skipped silently.
 */
export class ChangePublisher {
  readonly #options: ChangePublisherOptions
  readonly #events: EventFactory
  readonly #byTable: ReadonlyMap<string, EntityCounts>
  readonly #byRelation = new WeakMap<Relation, EntityCounts | null>()
  /** Reasons of permanently rejected events, by message id: the change is sent again and then becomes a dead letter. */
  readonly #undeliverable = new Map<string, string>()
  #publisher: OrderedPublisher | undefined
  #queue: QueuedChange[] = []
  #retryTimer: NodeJS.Timeout | undefined
  #stallReason: string | undefined

  constructor(options: ChangePublisherOptions) {
    this.#options = options
    this.#events = new EventFactory(options.slot)
    this.#byTable = new Map(
      options.entities.map((entity) => [
        qualifiedName(entity.table),
        { entity, counts: { create: 0, update: 0, delete: 0, truncate: 0 } },
      ]),
    )
  }

  get stallReason(): string | undefined {
    return this.#stallReason
  }

  *counts(): Generator<{ readonly entity: string; readonly action: Action; readonly count: number }> {
    for (const { entity, counts } of this.#byTable.values()) {
      for (const action of Object.values(ACTIONS)) yield { entity: entity.name, action, count: counts[action] }
    }
  }

  /** Publishes a change; call it in commit order. Resolves when the event is stored; undefined for a table without an entity. */
  readonly publish = (change: Change): Promise<void> | undefined => {
    const target = this.#targetOf(change.relation)
    if (target === null) return undefined
    if (this.#queue.length > 0) return this.#enqueue(target, change)
    try {
      return this.#send(target, change)
    } catch (error) {
      const queued = this.#enqueue(target, change)
      this.#stall(error)
      return queued
    }
  }

  /** Rejects queued changes; events already sent are not affected. */
  stop(): void {
    clearTimeout(this.#retryTimer)
    const queue = this.#queue
    this.#queue = []
    for (const { refused } of queue) refused(new Error('the service is stopping'))
  }

  /** Rejects all changes that are not stored yet. */
  async close(): Promise<void> {
    this.stop()
    this.#publisher?.close()
  }

  /** Sends an event. Throws a ConversionError or PublishError if the change cannot become an event and there are no dead letters. */
  #send(target: EntityCounts, change: Change): Promise<void> {
    const { entity } = target
    const { deadLetter } = this.#options
    let event: Publication
    try {
      event = this.#eventOf(entity, change)
    } catch (error) {
      if (deadLetter === undefined || !(error instanceof ConversionError || error instanceof PublishError)) throw error
      const id = this.#events.idOf(entity, change)
      return deadLetter(entity, change, id, error.message).then(() => void this.#undeliverable.delete(id))
    }
    const publisher = (this.#publisher ??= this.#options.openPublisher())
    return publisher.publish(event).then(
      () => {
        target.counts[ACTIONS[change.operation]] += 1
      },
      (error: unknown) => {
        this.#onRefused(publisher, event, error)
        throw error
      },
    )
  }

  #eventOf(entity: Entity, change: Change): Publication {
    const event = this.#events.eventOf(entity, change)
    this.#options.checkSize(event)
    const reason = this.#undeliverable.size > 0 ? this.#undeliverable.get(event.messageId) : undefined
    if (reason !== undefined) throw new ConversionError(reason)
    return event
  }

  #onRefused(publisher: OrderedPublisher, { messageId }: Publication, error: unknown): void {
    if (this.#publisher === publisher) this.#publisher = undefined
    publisher.close()
    if (!(error instanceof PublishError) || this.#options.deadLetter === undefined) return
    const never = error.code === 'too_large' || error.code === 'refused' || error.code === 'invalid'
    if (never) this.#undeliverable.set(messageId, error.message)
  }

  #enqueue(target: EntityCounts, change: Change): Promise<void> {
    return new Promise((stored, refused) => this.#queue.push({ target, change, stored, refused }))
  }

  #stall(error: unknown): void {
    const { logger, retryDelayMs } = this.#options
    const [first] = this.#queue
    if (first === undefined) return
    const { entity } = first.target
    const { operation, transaction, index, new: after, old } = first.change
    const id = String((after ?? old)?.get(entity.key))
    const reason = `${operation} of ${entity.name} ${id}: ${messageOf(error)}`
    this.#retryTimer = setTimeout(() => this.#retry(), retryDelayMs)
    if (reason === this.#stallReason) return
    this.#stallReason = reason
    logger.error(
      { [`${entity.name}_id`]: id, lsn: formatLsn(transaction.commitLsn), index },
      `${reason}; the flow is stalled, an attempt follows every ${retryDelayMs} ms ` +
        `(PONIX_CDC_ON_ERROR=dead_letter stores such changes as dead letters)`,
    )
  }

  #retry(): void {
    for (;;) {
      const [first] = this.#queue
      if (first === undefined) break
      try {
        this.#send(first.target, first.change).then(first.stored, first.refused)
      } catch (error) {
        return this.#stall(error)
      }
      this.#queue.shift()
    }
    this.#stallReason = undefined
    this.#options.logger.info('the flow continues')
  }

  /** Returns the entity of a table, cached per version of the table; null if there is none. */
  #targetOf(relation: Relation): EntityCounts | null {
    const known = this.#byRelation.get(relation)
    if (known !== undefined) return known
    const target = this.#byTable.get(qualifiedName(relation)) ?? null
    this.#byRelation.set(relation, target)
    if (target !== null) this.#warnOfMissingColumns(target.entity, relation)
    return target
  }

  #warnOfMissingColumns(entity: Entity, relation: Relation): void {
    const present = new Set(relation.columns.map(({ name }) => name))
    const missing = entity.columns.filter((column) => !present.has(column))
    if (missing.length === 0) return
    const table = qualifiedName(relation)
    const message = `${table} has no column ${missing.join(', ')}: events are published without it`
    this.#options.logger.warn({ table, missing }, message)
  }
}
