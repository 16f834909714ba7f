import { setTimeout as sleep } from 'node:timers/promises'
import { Gauge } from 'prom-client'
import type { Gateway } from '../../src/domain/entities.ts'
import { MappingError, UnknownGatewayEvent, messageOf } from '../../src/domain/errors.ts'
import type { GatewayEvent } from '../../src/domain/gateway-orchestration/decision.ts'
import {
  GatewayOrchestrator,
  MemoryGatewayProcessStore,
} from '../../src/domain/gateway-orchestration/gateway-orchestrator.ts'
import type {
  GatewayRunner,
  RetryPolicy,
  GatewayProcess,
  GatewayProcessEvent,
} from '../../src/domain/gateway-orchestration/gateway-process.ts'
import type { GatewayRepository } from '../../src/domain/ports.ts'
import type { NatsClient } from '../../src/nats/connection.ts'
import { runConsumer } from '../../src/nats/consumer.ts'
import type { Delivery, MessageResult } from '../../src/nats/delivery.ts'
import { createProducer } from '../../src/nats/producer.ts'
import type { PostgresDatabase } from '../../src/postgres/database.ts'
import { PostgresGatewayRepository } from '../../src/postgres/gateway-repository.ts'
import { decodeGateway } from '../../src/proto/entities.ts'
import type { Logger } from '../../src/runner/logger.ts'
import type { GatewayOrchestratorEnvironment } from './environment.ts'
import { mqttRunner, printRunner } from './runners.ts'

export interface GatewayServiceOptions {
  readonly gateways: GatewayRepository
  readonly nats: NatsClient
  readonly logger: Logger
  /** By gateway type in lower case. */
  readonly runners: Readonly<Record<string, GatewayRunner>>
  readonly retry: RetryPolicy
  readonly gatewayStream: string
  readonly durable: string
}

const STOP_TIMEOUT_MS = 5_000
const BATCH_SIZE = 10

/** The orchestrator of gateways between PostgreSQL, which it reads once, and the events, which it follows. */
export class GatewayService {
  readonly #options: GatewayServiceOptions
  readonly #store = new MemoryGatewayProcessStore()
  readonly #orchestrator: GatewayOrchestrator
  #loaded = false

  constructor(options: GatewayServiceOptions) {
    this.#options = options
    this.#orchestrator = new GatewayOrchestrator({
      store: this.#store,
      runnerFor: (type) => options.runners[type.toLowerCase()] ?? null,
      retry: options.retry,
      stopTimeoutMs: STOP_TIMEOUT_MS,
      sleep: (ms, signal) => sleep(ms, undefined, { signal }),
      nowMs: () => performance.now(),
      onEvent: (gateway, event) => logGatewayEvent(options.logger, gateway, event),
    })
    this.#countByState()
  }

  /**
   * Starts a process for every gateway, then follows the events until the signal aborts. Events of before the loading are in
   * the stream too; they are older than what was loaded and change nothing (G-1, G-5).
   */
  async run(signal: AbortSignal): Promise<void> {
    const { nats, gatewayStream, durable, logger } = this.#options
    await this.#orchestrator.start(this.#options.gateways.listAll({ signal }))
    this.#loaded = true
    logger.info({ gateways: this.#store.count() }, 'gateways loaded')
    const consumer = {
      client: nats,
      service: 'gateway-orchestrator',
      stream: gatewayStream,
      durable,
      filterSubject: 'gateway.>',
      batchSize: BATCH_SIZE,
      // A person who changes a gateway looks whether it worked: nothing waits for a fuller batch.
      batchWaitMs: 0,
      handle: (batch: readonly Delivery[]) => Promise.all(batch.map((delivery) => this.#take(delivery))),
    }
    try {
      await runConsumer(consumer, signal)
    } finally {
      await this.#orchestrator.stop()
    }
  }

  /** Rejects until every gateway of the start has its process: a readiness check. */
  async loaded(): Promise<void> {
    if (!this.#loaded) throw new Error('the gateways are being loaded')
  }

  /** What `/gateways` answers. */
  describe(): unknown {
    return { gateways: this.#store.list().map((process) => describeProcess(process, performance.now())) }
  }

  async #take(delivery: Delivery): Promise<MessageResult> {
    try {
      await this.#orchestrator.handle(gatewayEventOf(delivery))
      return { kind: 'ack' }
    } catch (error) {
      const hopeless = error instanceof MappingError || error instanceof UnknownGatewayEvent
      return { kind: hopeless ? 'dead_letter' : 'retry', reason: messageOf(error) }
    }
  }

  #countByState(): void {
    const store = this.#store
    // eslint-disable-next-line no-new -- a gauge registers itself
    new Gauge({
      name: 'ponix_gateways',
      help: 'Gateway processes by state.',
      labelNames: ['state'],
      collect() {
        this.reset()
        for (const { status } of store.list()) this.inc({ state: status.state })
      },
    })
  }
}

/** The subjects of W-1, from CDC's words into the domain's. Throws a MappingError for a body that is no gateway. */
export function gatewayEventOf(delivery: Pick<Delivery, 'subject' | 'body'>): GatewayEvent {
  const gateway = decodeGateway(delivery.body)
  switch (delivery.subject) {
    case 'gateway.create':
      return { type: 'created', gateway }
    case 'gateway.update':
      return { type: 'updated', gateway }
    case 'gateway.delete':
      return { type: 'deleted', gatewayId: gateway.gatewayId, version: gateway.updatedAt }
    default:
      throw new UnknownGatewayEvent(`no such gateway event: ${delivery.subject}`)
  }
}

/** One line for each thing that happens to a gateway's process. */
function logGatewayEvent(logger: Logger, gateway: Gateway, event: GatewayProcessEvent): void {
  const ids = { gateway_id: gateway.gatewayId, organization_id: gateway.organizationId }
  switch (event.type) {
    case 'running':
      return logger.info(ids, `gateway running (${gateway.gatewayType})`)
    case 'interrupted':
      return logger.warn(ids, `gateway interrupted, connecting again: ${event.reason}`)
    case 'retrying':
      return logger.warn(
        { ...ids, attempt: event.attempt },
        `gateway failed, trying again in ${event.waitMs / 1000} s: ${event.reason}`,
      )
    case 'failed':
      return logger.error(ids, `gateway failed for good, until its config changes: ${event.reason}`)
    case 'stopped':
      return logger.info(ids, 'gateway stopped')
    case 'abandoned':
      return logger.warn(ids, `gateway did not stop within ${event.afterMs / 1000} s and is left behind`)
  }
}

/** What `/gateways` shows of one process (G-14). */
function describeProcess({ gateway, status }: GatewayProcess, nowMs: number) {
  return {
    gateway_id: gateway.gatewayId,
    organization_id: gateway.organizationId,
    name: gateway.name,
    gateway_type: gateway.gatewayType,
    state: status.state,
    uptime_ms: Math.round(nowMs - status.startedAtMs),
    retries: status.failures,
    last_error: status.lastError,
    messages: status.messages,
  }
}

/** The service as its environment configures it. */
export function createGatewayService(
  env: GatewayOrchestratorEnvironment,
  database: PostgresDatabase,
  nats: NatsClient,
  logger: Logger,
): GatewayService {
  const mqtt = mqttRunner({ producer: createProducer(nats), rawStream: env.PONIX_NATS_RAW_STREAM })
  const print = printRunner(logger, env.PONIX_GATEWAY_ORCHESTRATOR_PRINT_INTERVAL_MS)
  return new GatewayService({
    gateways: new PostgresGatewayRepository(database),
    nats,
    logger,
    runners: { print, mqtt, emqx: mqtt },
    retry: {
      delayMs: env.PONIX_GATEWAY_ORCHESTRATOR_RETRY_DELAY_MS,
      maxAttempts: env.PONIX_GATEWAY_ORCHESTRATOR_MAX_RETRY_ATTEMPTS,
    },
    gatewayStream: env.PONIX_NATS_GATEWAY_STREAM,
    durable: env.PONIX_GATEWAY_CDC_CONSUMER_NAME,
  })
}
