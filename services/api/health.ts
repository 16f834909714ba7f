import { setTimeout as sleep } from 'node:timers/promises'
import { create, toBinary } from '@bufbuild/protobuf'
import { status as Status, type ServerWritableStream } from '@grpc/grpc-js'
import { DomainError } from '../../src/domain/errors.ts'
import {
  Health,
  HealthCheckRequestSchema,
  HealthCheckResponseSchema,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '../../src/proto/gen/grpc/health/v1/health_pb.ts'
import { decodeMessage } from '../../src/proto/timestamp.ts'
import type { ReadinessCheck } from '../../src/runner/health.ts'
import type { OpenStreams } from './grpc-server.ts'
import { statusOf, asBuffer, identity, unary, type Route } from './unary.ts'

/** grpc.health.v1.Health, for all that the monitors look after. */
export function healthRoutes(monitors: readonly HealthMonitor[], streams: OpenStreams): readonly Route[] {
  return [
    unary(Health.method.check, ({ service }) => {
      const status = monitorOf(monitors, service)?.status(service) ?? null
      if (status === null) throw new DomainError('not_found', `Service not found: ${service}`)
      return Promise.resolve({ status })
    }),
    watchRoute(monitors, streams),
  ]
}

function watchRoute(monitors: readonly HealthMonitor[], streams: OpenStreams): Route {
  const service = Health.typeName
  const method = `${service}/${Health.method.watch.name}`
  return {
    service,
    register(server, observe) {
      const serve = (call: ServerWritableStream<Buffer, Buffer>): void => {
        const started = performance.now()
        const ended = (code: Status, error?: unknown): void => {
          observe({ method, code, durationMs: performance.now() - started, organizationId: '', error })
        }
        try {
          const request = decodeMessage(HealthCheckRequestSchema, call.request)
          watch(call, request.service, monitorOf(monitors, request.service), streams)
          call.once('cancelled', () => ended(Status.OK))
        } catch (error) {
          const status = statusOf(error)
          call.emit('error', status)
          ended(status.code, error)
        }
      }
      server.register(`/${method}`, serve, identity, identity, 'serverStream')
    },
  }
}

function watch(
  call: ServerWritableStream<Buffer, Buffer>,
  service: string,
  monitor: HealthMonitor | undefined,
  streams: OpenStreams,
): void {
  const send = (status: ServingStatus): void => {
    call.write(asBuffer(toBinary(HealthCheckResponseSchema, create(HealthCheckResponseSchema, { status }))))
  }
  send(monitor?.status(service) ?? ServingStatus.SERVICE_UNKNOWN)
  const unwatch = monitor?.watch(send) ?? (() => {})
  const close = streams.opened(() => {
    unwatch()
    if (monitor !== undefined) send(ServingStatus.NOT_SERVING)
    call.end()
  })
  call.once('cancelled', () => {
    unwatch()
    close()
  })
}

function monitorOf(monitors: readonly HealthMonitor[], service: string): HealthMonitor | undefined {
  return monitors.find((monitor) => monitor.status(service) !== null)
}

export interface HealthMonitorOptions {
  /** Full names of the services that need what is checked; '' is the server as a whole. */
  readonly services: readonly string[]
  readonly check: ReadinessCheck
  /** Between two checks. Default 1000. */
  readonly intervalMs?: number
  /** For one check. Default 2000. */
  readonly timeoutMs?: number
}

type Listener = (status: ServingStatus) => void

/** Knows, and tells at once, whether some services can serve: they can while what they need answers and no shutdown has begun. */
export class HealthMonitor {
  readonly #options: HealthMonitorOptions
  readonly #services: ReadonlySet<string>
  readonly #listeners = new Set<Listener>()
  #status: ServingStatus = ServingStatus.SERVING

  constructor(options: HealthMonitorOptions) {
    this.#options = options
    this.#services = new Set(options.services)
  }

  /** Checks until the signal aborts; from then on nothing is serving. */
  async run(signal: AbortSignal): Promise<void> {
    const { check, intervalMs = 1000, timeoutMs = 2000 } = this.#options
    while (!signal.aborted) {
      const status = await check(AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])).then(
        () => ServingStatus.SERVING,
        () => ServingStatus.NOT_SERVING,
      )
      this.#change(status)
      await sleep(intervalMs, undefined, { signal }).catch(() => {})
    }
    this.#change(ServingStatus.NOT_SERVING)
  }

  /** The state of a service; null for one that is not looked after here. */
  status(service: string): ServingStatus | null {
    return this.#services.has(service) ? this.#status : null
  }

  /** Calls the listener at every change until the returned function is called. */
  watch(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #change(status: ServingStatus): void {
    if (status === this.#status) return
    this.#status = status
    for (const listener of this.#listeners) listener(status)
  }
}
