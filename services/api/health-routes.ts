import { create, toBinary } from '@bufbuild/protobuf'
import { status as Status, type ServerWritableStream } from '@grpc/grpc-js'
import { DomainError } from '../../src/domain/errors.ts'
import { decodeMessage } from '../../src/proto/timestamp.ts'
import {
  Health,
  HealthCheckRequestSchema,
  HealthCheckResponseSchema,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '../../src/proto/gen/grpc/health/v1/health_pb.ts'
import type { HealthMonitor } from './health-monitor.ts'
import type { OpenStreams } from './open-streams.ts'
import { statusOf } from './status.ts'
import { asBuffer, identity, unary, type Route } from './unary.ts'

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
