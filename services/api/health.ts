import { addAbortListener } from 'node:events'
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
import { statusOf, asBuffer, identity, unary, type Route } from './route.ts'
import { timeoutSignal } from '../../src/runner/timeout-signal.ts'

/** The monitors of services by full name; '' means the whole server. */
export type HealthMonitors = ReadonlyMap<string, HealthMonitor>

/** Returns grpc.health.v1.Health for the services of the monitors. Aborting `stopping` ends its streams. */
export function healthRoutes(monitors: HealthMonitors, stopping: AbortSignal): readonly Route[] {
  return [
    unary(Health.method.check, ({ service }) => {
      const status = monitors.get(service)?.status
      if (status === undefined) throw new DomainError('not_found', `Service not found: ${service}`)
      return Promise.resolve({ status })
    }),
    watchRoute(monitors, stopping),
  ]
}

function watchRoute(monitors: HealthMonitors, stopping: AbortSignal): Route {
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
          watch(call, monitors.get(request.service), stopping)
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
  monitor: HealthMonitor | undefined,
  stopping: AbortSignal,
): void {
  const send = (status: ServingStatus): void => {
    call.write(asBuffer(toBinary(HealthCheckResponseSchema, create(HealthCheckResponseSchema, { status }))))
  }
  send(monitor?.status ?? ServingStatus.SERVICE_UNKNOWN)
  monitor?.listeners.add(send)
  const shutdown = addAbortListener(stopping, () => {
    monitor?.listeners.delete(send)
    if (monitor !== undefined) send(ServingStatus.NOT_SERVING)
    call.end()
  })
  call.once('cancelled', () => {
    monitor?.listeners.delete(send)
    shutdown[Symbol.dispose]()
  })
}

const CHECK_INTERVAL_MS = 1000
const CHECK_TIMEOUT_MS = 2000

/** The health of services that share one check: SERVING while the check passes; NOT_SERVING otherwise and after shutdown. */
export class HealthMonitor {
  status: ServingStatus = ServingStatus.SERVING
  /** Called on every change of the status. */
  readonly listeners = new Set<(status: ServingStatus) => void>()
  readonly #check: ReadinessCheck

  constructor(check: ReadinessCheck) {
    this.#check = check
  }

  /** Checks until the signal aborts, and then sets the status to NOT_SERVING. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const status = await this.#check(AbortSignal.any([signal, timeoutSignal(CHECK_TIMEOUT_MS)])).then(
        () => ServingStatus.SERVING,
        () => ServingStatus.NOT_SERVING,
      )
      this.#change(status)
      await sleep(CHECK_INTERVAL_MS, undefined, { signal }).catch(() => {})
    }
    this.#change(ServingStatus.NOT_SERVING)
  }

  #change(status: ServingStatus): void {
    if (status === this.status) return
    this.status = status
    for (const listener of this.listeners) listener(status)
  }
}
