import { PublishError, ConversionError } from '../../src/domain/errors.ts'
import type { OrderedPublisher } from '../../src/nats/producer.ts'
import type { Publication } from '../../src/nats/publication.ts'
import { qualifiedName, type Change, formatLsn, type Relation } from '../../src/postgres/replication/change.ts'
import type { Logger } from '../../src/runner/logger.ts'
import type { Action, Entity } from './entity.ts'
import { actionOf, EventMaker } from './event.ts'

export interface ChangePublisherOptions {
  readonly slot: string
  readonly entities: readonly Entity[]
  /** Opens a new publisher; the one before has given up on a message and takes no more. */
  readonly openPublisher: () => OrderedPublisher
  /** Stores a change that cannot become an event elsewhere; absent: the flow stops at it and waits. */
  readonly deadLetter?:
    | ((entity: Entity, change: Change, messageId: string, reason: string) => Promise<void>)
    | undefined
  /** Bytes that the body of one event may have. */
  readonly maxBodyBytes: () => number
  /** Between two attempts at a change that cannot become an event. */
  readonly retryDelayMs: number
  readonly logger: Logger
}

/** An entity with what was published of it. */
interface Published {
  readonly entity: Entity
  readonly counts: Record<Action, number>
}

interface Waiting {
  readonly published: Published
  readonly change: Change
  readonly stored: () => void
  readonly refused: (error: unknown) => void
}

/**
 * Makes changes into events and publishes them in order. A change that cannot become one goes to the dead letters if there
 * are any; else it and all that come after it wait, and it is tried again and again. Nothing is skipped in silence.
 */
export class ChangePublisher {
  readonly #options: ChangePublisherOptions
  readonly #events: EventMaker
  readonly #byTable: ReadonlyMap<string, Published>
  readonly #byRelation = new WeakMap<Relation, Published | null>()
  /** What JetStream will never take, by message id: found out when it was sent, so it comes again. */
  readonly #undeliverable = new Map<string, string>()
  #publisher: OrderedPublisher | undefined
  #waiting: Waiting[] = []
  #retryTimer: NodeJS.Timeout | undefined
  #stalledBecause: string | undefined

  constructor(options: ChangePublisherOptions) {
    this.#options = options
    this.#events = new EventMaker(options.slot)
    this.#byTable = new Map(
      options.entities.map((entity) => [
        qualifiedName(entity.table),
        { entity, counts: { create: 0, update: 0, delete: 0, truncate: 0 } },
      ]),
    )
  }

  /** Why the flow stands still; undefined while it does not. */
  get stalledBecause(): string | undefined {
    return this.#stalledBecause
  }

  /** Events that are stored, by entity and action. */
  *counts(): Generator<{ readonly entity: string; readonly action: Action; readonly count: number }> {
    for (const { entity, counts } of this.#byTable.values()) {
      for (const action of ['create', 'update', 'delete', 'truncate'] as const) {
        yield { entity: entity.name, action, count: counts[action] }
      }
    }
  }

  /** Takes a change; call it in commit order. Resolves when its event is stored; undefined for a table without an entity. */
  readonly take = (change: Change): Promise<void> | undefined => {
    const published = this.#publishedOf(change.relation)
    if (published === null) return undefined
    if (this.#waiting.length > 0) return this.#wait(published, change)
    try {
      return this.#publish(published, change)
    } catch (error) {
      const waiting = this.#wait(published, change)
      this.#stall(error)
      return waiting
    }
  }

  /** Gives up on what waits; what was sent is not touched. */
  stop(): void {
    clearTimeout(this.#retryTimer)
    const waiting = this.#waiting
    this.#waiting = []
    for (const { refused } of waiting) refused(new Error('the service stops'))
  }

  /** Rejects what is not stored yet. */
  async close(): Promise<void> {
    this.stop()
    this.#publisher?.close()
  }

  /** Throws a ConversionError when the change cannot become an event and there are no dead letters. */
  #publish(published: Published, change: Change): Promise<void> {
    const { entity } = published
    const { deadLetter } = this.#options
    let event: Publication
    try {
      event = this.#deliverable(entity, change)
    } catch (error) {
      if (deadLetter === undefined || !(error instanceof ConversionError)) throw error
      return deadLetter(entity, change, this.#events.idOf(entity, change), error.message)
    }
    const publisher = (this.#publisher ??= this.#options.openPublisher())
    return publisher.publish(event).then(
      () => {
        published.counts[actionOf(change.operation)] += 1
      },
      (error: unknown) => {
        this.#onRefused(publisher, event, error)
        throw error
      },
    )
  }

  #deliverable(entity: Entity, change: Change): Publication {
    const event = this.#events.eventOf(entity, change)
    const limit = this.#options.maxBodyBytes()
    if (event.body.length > limit) {
      throw new ConversionError(`the event has ${event.body.length} bytes, NATS takes ${limit} (max_payload)`)
    }
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

  #wait(published: Published, change: Change): Promise<void> {
    return new Promise((stored, refused) => this.#waiting.push({ published, change, stored, refused }))
  }

  #stall(error: unknown): void {
    const { logger, retryDelayMs } = this.#options
    const [first] = this.#waiting
    if (first === undefined) return
    const { entity } = first.published
    const { operation, transaction, new: after, old } = first.change
    const id = (after ?? old)?.get(entity.key)
    const reason = error instanceof Error ? error.message : String(error)
    this.#stalledBecause = `${operation} of ${entity.name} ${String(id)}: ${reason}`
    logger.error(
      { [`${entity.name}_id`]: String(id), lsn: formatLsn(transaction.commitLsn), index: first.change.index },
      `${this.#stalledBecause}; the flow waits, next attempt in ${retryDelayMs} ms ` +
        `(PONIX_CDC_ON_ERROR=dead_letter puts such changes aside)`,
    )
    this.#retryTimer = setTimeout(() => this.#retry(), retryDelayMs)
  }

  #retry(): void {
    for (;;) {
      const [first] = this.#waiting
      if (first === undefined) break
      try {
        this.#publish(first.published, first.change).then(first.stored, first.refused)
      } catch (error) {
        return this.#stall(error)
      }
      this.#waiting.shift()
    }
    this.#stalledBecause = undefined
    this.#options.logger.info('the flow goes on')
  }

  /** Null for a table without an entity. Looks closer once for every version of a table. */
  #publishedOf(relation: Relation): Published | null {
    const known = this.#byRelation.get(relation)
    if (known !== undefined) return known
    const published = this.#byTable.get(qualifiedName(relation)) ?? null
    this.#byRelation.set(relation, published)
    if (published !== null) this.#tellMissing(published.entity, relation)
    return published
  }

  #tellMissing(entity: Entity, relation: Relation): void {
    const present = new Set(relation.columns.map(({ name }) => name))
    const missing = entity.columns.filter((column) => !present.has(column))
    if (missing.length === 0) return
    const table = qualifiedName(relation)
    this.#options.logger.warn({ table, missing }, `${table} has no ${missing.join(', ')}: events go without`)
  }
}
