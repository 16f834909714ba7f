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
import { statusOf, asBuffer, identity, unary, type Route } from './route.ts'

/** grpc.health.v1.Health for the services of the monitors. */
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

const CHECK_INTERVAL_MS = 1000
const CHECK_TIMEOUT_MS = 2000

type Listener = (status: ServingStatus) => void

/** The health of services that share one check: serving while it passes and no shutdown has begun. */
export class HealthMonitor {
  readonly #services: ReadonlySet<string>
  readonly #check: ReadinessCheck
  readonly #listeners = new Set<Listener>()
  #status: ServingStatus = ServingStatus.SERVING

  /** Services by full name; '' is the server as a whole. */
  constructor(services: readonly string[], check: ReadinessCheck) {
    this.#services = new Set(services)
    this.#check = check
  }

  /** Checks until the signal aborts, which sets the status to NOT_SERVING. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const status = await this.#check(AbortSignal.any([signal, AbortSignal.timeout(CHECK_TIMEOUT_MS)])).then(
        () => ServingStatus.SERVING,
        () => ServingStatus.NOT_SERVING,
      )
      this.#change(status)
      await sleep(CHECK_INTERVAL_MS, undefined, { signal }).catch(() => {})
    }
    this.#change(ServingStatus.NOT_SERVING)
  }

  /** The status of a service; null for a service that is not monitored here. */
  status(service: string): ServingStatus | null {
    return this.#services.has(service) ? this.#status : null
  }

  /** Calls the listener on every change until the returned function is called. */
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
