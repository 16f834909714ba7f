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
 * stalls the flow: this and all following changes are queued, and it is retried. When JetStream rejects an event permanently, it
 * becomes a dead letter, and the events in flight after it, of which none is stored, are sent again in their order. Dead letters are
 * stored while later events are published. Nothing is skipped silently.
 */
export class ChangePublisher {
  readonly #options: ChangePublisherOptions
  readonly #events: EventFactory
  readonly #byTable: ReadonlyMap<string, EntityCounts>
  readonly #byRelation = new WeakMap<Relation, EntityCounts | null>()
  #publisher: OrderedPublisher | undefined
  /** Changes to send before any newer one, in commit order. */
  #queue: QueuedChange[] = []
  #isDraining = false
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
      const event = this.#convert(target, change)
      if (event instanceof Promise) return event
      return this.#send(target, change, event, (error) => this.#onFailed(target, change, error))
    } catch (error) {
      const queued = this.#enqueue(target, change)
      this.#stall(error)
      return queued
    }
  }

  /** Rejects the changes of a stalled flow; other changes are still sent. */
  stop(): void {
    clearTimeout(this.#retryTimer)
    if (this.#stallReason !== undefined) this.#rejectQueue(new Error('the service is stopping'))
  }

  /** Rejects all changes that are not stored yet. */
  async close(): Promise<void> {
    clearTimeout(this.#retryTimer)
    this.#rejectQueue(new Error('the service is stopping'))
    this.#publisher?.close()
  }

  /**
   * Returns the event of a change, or stores the dead letter of a change that cannot become an event. Without dead letters it throws a
   * ConversionError or PublishError.
   */
  #convert({ entity }: EntityCounts, change: Change): Publication | Promise<void> {
    try {
      const event = this.#events.eventOf(entity, change)
      this.#options.checkSize(event)
      return event
    } catch (error) {
      const { deadLetter } = this.#options
      if (deadLetter === undefined || !(error instanceof ConversionError || error instanceof PublishError)) throw error
      return deadLetter(entity, change, this.#events.idOf(entity, change), error.message)
    }
  }

  /** Sends an event; resolves when it is stored, or with the outcome of `onFailed`. Hot path: one promise. */
  #send<T>(
    { counts }: EntityCounts,
    { operation }: Change,
    event: Publication,
    onFailed: (error: unknown) => Promise<T> | T,
  ): Promise<T | void> {
    const publisher = (this.#publisher ??= this.#options.openPublisher())
    return publisher.publish(event).then(() => {
      counts[ACTIONS[operation]] += 1
    }, onFailed)
  }

  #onFailed(target: EntityCounts, change: Change, error: unknown): Promise<void> {
    if (!this.#isSuperseded(error)) return this.#storeRejected(target, change, error)
    const stored = this.#enqueue(target, change)
    void this.#drain()
    return stored
  }

  /** Returns whether an event was not sent only because an earlier one became a dead letter. */
  #isSuperseded(error: unknown): boolean {
    const { deadLetter } = this.#options
    if (deadLetter === undefined || !(error instanceof PublishError)) return false
    return error.code === 'superseded' && isPermanent(error.cause)
  }

  /** Stores the dead letter of a rejected event. If that is impossible, it rejects, and so do all later changes. */
  async #storeRejected({ entity }: EntityCounts, change: Change, error: unknown): Promise<void> {
    const { deadLetter } = this.#options
    if (deadLetter !== undefined && isPermanent(error)) {
      return await deadLetter(entity, change, this.#events.idOf(entity, change), messageOf(error))
    }
    this.#publisher?.close()
    this.#publisher = undefined
    this.#rejectQueue(error)
    throw error
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
    this.#retryTimer = setTimeout(() => void this.#drain(), retryDelayMs)
    if (reason === this.#stallReason) return
    this.#stallReason = reason
    logger.error(
      { [`${entity.name}_id`]: id, lsn: formatLsn(transaction.commitLsn), index },
      `${reason}; the flow is stalled, an attempt follows every ${retryDelayMs} ms ` +
        `(PONIX_CDC_ON_ERROR=dead_letter stores such changes as dead letters)`,
    )
  }

  /**
   * Sends the queue, in groups that double their size until an event is rejected: the events of the group after it have to be sent
   * again, so a group is at most as large as the number of events stored since the last rejection, plus one.
   */
  async #drain(): Promise<void> {
    if (this.#isDraining) return
    this.#isDraining = true
    for (let size = 1; this.#queue.length > 0;) {
      if (size === 1) await this.#renewPublisher()
      const outcome = await this.#sendGroup(size)
      if (outcome === 'stalled') break
      size = outcome === 'sent' ? 2 * size : 1
    }
    this.#isDraining = false
    if (this.#queue.length > 0 || this.#stallReason === undefined) return
    this.#stallReason = undefined
    this.#options.logger.info('the flow continues')
  }

  /** Closes the publisher when all events that it can store are stored. */
  async #renewPublisher(): Promise<void> {
    const publisher = this.#publisher
    await publisher?.flush()
    publisher?.close()
    if (this.#publisher === publisher) this.#publisher = undefined
  }

  /** Sends the first changes of the queue, and removes those that need not be sent again. */
  async #sendGroup(size: number): Promise<'sent' | 'superseded' | 'stalled'> {
    const queue = this.#queue
    const sent: Promise<QueuedChange | undefined>[] = []
    let failure: { readonly error: unknown } | undefined
    for (const queued of queue.slice(0, size)) {
      try {
        sent.push(this.#sendQueued(queued))
      } catch (error) {
        failure = { error }
        break
      }
    }
    const superseded = (await Promise.all(sent)).filter((queued) => queued !== undefined)
    // All changes were rejected meanwhile.
    if (queue !== this.#queue) return 'sent'
    queue.splice(0, sent.length, ...superseded)
    if (superseded.length > 0) return 'superseded'
    if (failure === undefined) return 'sent'
    this.#stall(failure.error)
    return 'stalled'
  }

  /** Resolves to the change if it must be sent again; does not wait for a dead letter. Throws as `#convert` does. */
  #sendQueued(queued: QueuedChange): Promise<QueuedChange | undefined> {
    const { target, change, stored, refused } = queued
    const event = this.#convert(target, change)
    if (event instanceof Promise) {
      event.then(stored, refused)
      return Promise.resolve(undefined)
    }
    const onFailed = (reason: unknown): 'superseded' | 'refused' => {
      if (this.#isSuperseded(reason)) return 'superseded'
      this.#storeRejected(target, change, reason).then(stored, refused)
      return 'refused'
    }
    return this.#send(target, change, event, onFailed).then((failure) => {
      if (failure === undefined) stored()
      return failure === 'superseded' ? queued : undefined
    })
  }

  #rejectQueue(error: unknown): void {
    const queue = this.#queue
    this.#queue = []
    for (const { refused } of queue) refused(error)
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

/** Returns whether JetStream will never store the event. */
function isPermanent(error: unknown): boolean {
  if (!(error instanceof PublishError)) return false
  return error.code === 'too_large' || error.code === 'refused' || error.code === 'invalid'
}
