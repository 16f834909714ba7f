import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { Counter } from 'prom-client'
import type { Gateway } from '../../src/domain/entities.ts'
import { MappingError, messageOf } from '../../src/domain/errors.ts'
import type { GatewayConnectionStore } from '../../src/domain/gateway-connection.ts'
import {
  GatewayOrchestrator,
  MemoryGatewayProcessStore,
} from '../../src/domain/gateway-orchestration/gateway-orchestrator.ts'
import type { GatewayProcess, GatewayProcessEvent } from '../../src/domain/gateway-orchestration/gateway-process.ts'
import { shardOf } from '../../src/domain/gateway-orchestration/shards.ts'
import { topicFiltersOf } from '../../src/domain/gateway-topics/subscription.ts'
import type { EndDeviceRepository, GatewayTable } from '../../src/domain/ports.ts'
import { InFlightBudget } from '../../src/mqtt/in-flight-budget.ts'
import type { NatsClient } from '../../src/nats/connection.ts'
import { runConsumer } from '../../src/nats/consumer/consumer.ts'
import type { Delivery, MessageResult } from '../../src/nats/delivery.ts'
import { DeadLetterQuota } from '../../src/nats/dead-letter-quota.ts'
import { LeaseBucket } from '../../src/nats/lease-bucket.ts'
import { createProducer } from '../../src/nats/publisher/producer.ts'
import type { Logger } from '../../src/runner/logger.ts'
import { ConnectionReports } from './connection-reports.ts'
import type { GatewayOrchestratorEnvironment } from './environment.ts'
import { gatewayEventOf } from './gateway-event.ts'
import { createLeaseClock } from './lease-clock.ts'
import { registerGatewayMetrics } from './metrics.ts'
import { OverlapWarnings } from './overlap-warnings.ts'
import { Redeliveries } from './redeliveries.ts'
import { RefusedMessages } from './refused-messages.ts'
import { gatewayRunners } from './runners.ts'
import { ShardLeases } from './shard-leases.ts'

export interface GatewayServiceParts {
  readonly env: GatewayOrchestratorEnvironment
  readonly gateways: GatewayTable
  readonly connections: GatewayConnectionStore
  readonly endDevices: Pick<EndDeviceRepository, 'findByExternalId'>
  readonly nats: NatsClient
  /** The connection for leases; null if the gateways are not shared. */
  readonly leaseNats: NatsClient | null
  readonly logger: Logger
}

const STOP_TIMEOUT_MS = 5_000
const BATCH_SIZE = 10
/** The default `max_payload` of NATS, in bytes. */
const DEFAULT_MAX_PAYLOAD = 1024 * 1024
/** The default number of consecutive retries after which a gateway is reported as failing. */
const FAILING_AFTER_RETRIES = 3
/** The TTL of a lease as a part of the time in which the gateways of an instance that died run elsewhere. */
const LEASE_TTL = 0.8

const corrections = new Counter({
  name: 'ponix_gateway_resync_corrections_total',
  help: 'Gateways that a comparison with PostgreSQL corrected, because their events were missing or late.',
})

/**
 * Loads all gateways from PostgreSQL, then applies the gateway events from NATS and compares with PostgreSQL periodically. With
 * leases each instance knows all gateways and runs those of the shards that it holds.
 */
export class GatewayService {
  readonly #parts: GatewayServiceParts
  readonly #store = new MemoryGatewayProcessStore()
  readonly #orchestrator: GatewayOrchestrator
  readonly #deadLetterQuota: DeadLetterQuota
  /** Unique for each start of the program. */
  readonly #instance = randomUUID()
  /** The name of the instance for people. */
  readonly #instanceName = `${hostname()}-${this.#instance.slice(0, 8)}`
  readonly #leases: ShardLeases | undefined
  readonly #reports: ConnectionReports
  readonly #overlaps: OverlapWarnings
  #loaded = false

  constructor(parts: GatewayServiceParts) {
    this.#parts = parts
    const { env, nats, logger } = parts
    const producer = createProducer(nats)
    this.#deadLetterQuota = new DeadLetterQuota(env.PONIX_DEAD_LETTER_QUOTA, logger)
    const refused = new RefusedMessages(nats, producer, this.#deadLetterQuota)
    const budget = new InFlightBudget({ bytes: env.PONIX_GATEWAY_ORCHESTRATOR_MAX_IN_FLIGHT_BYTES })
    const runners = gatewayRunners({
      budget,
      redeliveries: new Redeliveries(nats, producer, env.PONIX_NATS_RAW_STREAM),
      refused,
      rawStream: env.PONIX_NATS_RAW_STREAM,
      shards: env.PONIX_GATEWAY_ORCHESTRATOR_SHARDS,
      maxMessageBytes: () => nats.connection.info?.max_payload ?? DEFAULT_MAX_PAYLOAD,
      devices: parts.endDevices,
      logger,
      printIntervalMs: env.PONIX_GATEWAY_ORCHESTRATOR_PRINT_INTERVAL_MS,
    })
    const leases = parts.leaseNats === null ? undefined : this.#createLeases(parts.leaseNats)
    this.#leases = leases
    const owns = (gatewayId: string): boolean => leases === undefined || leases.owns(gatewayId)
    const holds = (gatewayId: string): boolean => leases === undefined || leases.holds(gatewayId)
    const clock = {
      nowMs: () => performance.now(),
      sleep: (ms: number, signal: AbortSignal) => sleep(ms, undefined, { signal }),
    }
    const [store, instance] = [this.#store, this.#instanceName]
    const { connections } = parts
    const reports = new ConnectionReports({ store, connections, instance, owns: holds, ...clock, logger })
    this.#reports = reports
    this.#orchestrator = new GatewayOrchestrator({
      store,
      runners,
      retry: {
        delayMs: env.PONIX_GATEWAY_ORCHESTRATOR_RETRY_DELAY_MS,
        maxAttempts: env.PONIX_GATEWAY_ORCHESTRATOR_MAX_RETRY_ATTEMPTS ?? FAILING_AFTER_RETRIES,
        stopsWhenFailing: env.PONIX_GATEWAY_ORCHESTRATOR_MAX_RETRY_ATTEMPTS !== undefined,
      },
      random: Math.random,
      owns,
      holds,
      stopTimeoutMs: STOP_TIMEOUT_MS,
      nextTurn: () => setImmediate(),
      ...clock,
      onEvent: (gateway, event) => {
        logGatewayEvent(logger, gateway, event)
        if (event.type === 'running') this.#overlaps.changed()
      },
      onChange: (gatewayId) => reports.note(gatewayId),
    })
    this.#overlaps = new OverlapWarnings({
      desired: () => this.#orchestrator.desired(),
      connectedTo: (gatewayId) => this.#store.get(gatewayId)?.status.connectedTo,
      logger,
    })
    registerGatewayMetrics({ store, overlaps: this.#overlaps, budget })
  }

  /**
   * Starts a process for every gateway, then applies events until the signal aborts. Events that are older than the rows have no
   * effect, however often the stream is delivered.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { gateways, nats, logger } = this.#parts
    const { stream, durable, startAfter } = await this.#prepareConsumer()
    await this.#orchestrator.synchronize(gateways, signal)
    this.#loaded = true
    logger.info({ gateways: this.#store.count() }, 'gateways loaded')
    const consumer = {
      client: nats,
      service: 'gateway-orchestrator',
      stream,
      durable,
      startAfter,
      filterSubject: 'gateway.>',
      batchSize: BATCH_SIZE,
      // Apply changes immediately instead of waiting for a fuller batch.
      batchWaitMs: 0,
      deadLetterQuota: this.#deadLetterQuota,
      handle: (batch: readonly Delivery[]) => Promise.all(batch.map((delivery) => this.#apply(delivery))),
    }
    try {
      await Promise.all([
        runConsumer(consumer, signal),
        this.#resyncPeriodically(signal),
        this.#deadLetterQuota.run(signal),
        this.#leases?.run(signal),
        this.#reports.run(signal),
        this.#overlaps.run(signal),
      ])
    } finally {
      await this.#orchestrator.stop()
      await Promise.all([this.#leases?.close(), this.#reports.close()])
      this.#deadLetterQuota.endHour()
    }
  }

  /** Checks readiness: rejects until every gateway has its process. */
  async loaded(): Promise<void> {
    if (!this.#loaded) throw new Error('the gateways are still being loaded')
  }

  #createLeases(client: NatsClient): ShardLeases {
    const { env, logger } = this.#parts
    const shards = env.PONIX_GATEWAY_ORCHESTRATOR_SHARDS
    const bucket = new LeaseBucket(client, {
      name: 'gateway_leases',
      ttlMs: env.PONIX_GATEWAY_ORCHESTRATOR_LEASE_MS * LEASE_TTL,
      agreement: { PONIX_GATEWAY_ORCHESTRATOR_SHARDS: String(shards) },
    })
    return new ShardLeases({
      instance: this.#instance,
      shards,
      bucket,
      logger,
      nowMs: createLeaseClock(),
      onChange: (changed) => this.#orchestrator.reconcileWhere((id) => changed.has(shardOf(id, shards))),
    })
  }

  /** Returns the consumer of events: a shared one, or with leases one of this instance that starts after the last event. */
  async #prepareConsumer() {
    const { env, nats, logger } = this.#parts
    const { PONIX_NATS_GATEWAY_STREAM: stream, PONIX_GATEWAY_CDC_CONSUMER_NAME: durable } = env
    if (this.#leases === undefined) return { stream, durable }
    await this.#leases.open()
    logger.info({ instance: this.#instance }, 'sharing the gateways with other instances')
    const { state } = await nats.manager.streams.info(stream)
    return { stream, durable: `${durable}-${this.#instance}`, startAfter: state.last_seq }
  }

  /** Returns the response of `/gateways`. */
  describe(): unknown {
    const nowMs = performance.now()
    const gateways = this.#store.list().map((process) => describeProcess(process, this.#overlaps, nowMs))
    return { instance: this.#instanceName, gateways }
  }

  /** Runs until the signal aborts. A comparison that fails is repeated after the interval; a series of failures is logged once. */
  async #resyncPeriodically(signal: AbortSignal): Promise<void> {
    const { env, gateways, logger } = this.#parts
    let failing = false
    while (!signal.aborted) {
      await sleep(env.PONIX_GATEWAY_ORCHESTRATOR_RESYNC_MS, undefined, { signal }).catch(() => undefined)
      try {
        const corrected = await this.#orchestrator.synchronize(gateways, signal)
        failing = false
        corrections.inc(corrected)
        if (corrected > 0) this.#overlaps.changed()
        if (corrected > 0) logger.warn({ gateways: corrected }, 'corrected gateways whose events were missing or late')
      } catch (error) {
        if (!failing && !signal.aborted) logger.warn(`cannot compare the gateways with PostgreSQL: ${messageOf(error)}`)
        failing = true
      }
    }
  }

  async #apply(delivery: Delivery): Promise<MessageResult> {
    try {
      await this.#orchestrator.handle(gatewayEventOf(delivery))
      this.#overlaps.changed()
      return { kind: 'ack' }
    } catch (error) {
      if (!(error instanceof MappingError)) return { kind: 'retry', reason: messageOf(error) }
      return { kind: 'dead_letter', reason: error.message, cause: 'undecodable' }
    }
  }
}

function logGatewayEvent(logger: Logger, gateway: Gateway, event: GatewayProcessEvent): void {
  const { gatewayId, organizationId, name } = gateway
  const ids = { gateway_id: gatewayId, organization_id: organizationId, gateway_name: name }
  switch (event.type) {
    case 'running': {
      const [topic] = topicFiltersOf(gateway)
      return logger.info({ ...ids, topic }, `gateway running (${gateway.gatewayType})`)
    }
    case 'interrupted':
      return logger.warn(ids, `gateway interrupted, reconnecting: ${event.reason}`)
    case 'retrying': {
      const text = `gateway failed, retrying in ${event.waitMs / 1000} s: ${event.reason}`
      return logger.warn({ ...ids, attempt: event.attempt }, text)
    }
    case 'failing': {
      const text = `gateway failing, ${event.attempt} attempts in a row; retried without end: ${event.reason}`
      return logger.error({ ...ids, attempt: event.attempt }, text)
    }
    case 'failed':
      return logger.error(ids, `gateway failed permanently until its config changes: ${event.reason}`)
    case 'refused': {
      const text = `gateway refused messages, which cannot be envelopes; the last one: ${event.reason}; further ones are counted in /gateways`
      return logger.warn({ ...ids, refused: event.count }, text)
    }
    case 'stopped':
      return logger.info(ids, 'gateway stopped')
    case 'abandoned':
      return logger.warn(ids, `gateway did not stop within ${event.afterMs / 1000} s; abandoned`)
  }
}

function describeProcess({ gateway, status }: GatewayProcess, overlaps: OverlapWarnings, nowMs: number) {
  return {
    gateway_id: gateway.gatewayId,
    organization_id: gateway.organizationId,
    name: gateway.name,
    gateway_type: gateway.gatewayType,
    topics: topicFiltersOf(gateway),
    state: status.state,
    uptime_ms: Math.round(nowMs - status.startedAtMs),
    retries: status.failures,
    last_error: status.lastError,
    warning: overlaps.of(gateway.gatewayId),
    messages: status.messages,
    events: status.events,
    refused: status.refused,
  }
}
