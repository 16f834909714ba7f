import { create, toBinary } from '@bufbuild/protobuf'
import { status as Status, type ServerWritableStream } from '@grpc/grpc-js'
import { DomainError } from '../../src/domain/errors.ts'
import { decodeMessage } from '../../src/proto/binary.ts'
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

/** grpc.health.v1.Health. */
export function healthRoutes(monitor: HealthMonitor, streams: OpenStreams): readonly Route[] {
  return [
    unary(Health.method.check, ({ service }) => {
      const status = monitor.status(service)
      if (status === null) throw new DomainError('not_found', `Service not found: ${service}`)
      return Promise.resolve({ status })
    }),
    watchRoute(monitor, streams),
  ]
}

function watchRoute(monitor: HealthMonitor, streams: OpenStreams): Route {
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
          watch(call, request.service, monitor, streams)
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
  monitor: HealthMonitor,
  streams: OpenStreams,
): void {
  const send = (status: ServingStatus): void => {
    call.write(asBuffer(toBinary(HealthCheckResponseSchema, create(HealthCheckResponseSchema, { status }))))
  }
  const status = monitor.status(service)
  send(status ?? ServingStatus.SERVICE_UNKNOWN)
  const unwatch = status === null ? () => {} : monitor.watch(send)
  const close = streams.opened(() => {
    unwatch()
    if (status !== null) send(ServingStatus.NOT_SERVING)
    call.end()
  })
  call.once('cancelled', () => {
    unwatch()
    close()
  })
}
