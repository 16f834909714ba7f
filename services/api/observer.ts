import { status as Status } from '@grpc/grpc-js'
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { Logger } from '../../src/runner/logger.ts'
import { LIMITS } from '../../src/domain/fields.ts'

/** A call that has ended, without its payload. */
export interface CallRecord {
  /** `ponix.gateway.v1.GatewayService/GetGateway` */
  readonly method: string
  readonly code: Status
  readonly durationMs: number
  /** Empty if the call has none or ended before it was known. */
  readonly organizationId: string
  /** The error, for the log only. */
  readonly error?: unknown
}

export type Observer = (record: CallRecord) => void

/** Writes the request log and the metrics. Calls to the health and reflection services are logged at debug level. */
export function createObserver(logger: Logger, registry: Registry): Observer {
  const registers = [registry]
  const calls = new Counter({
    name: 'ponix_api_calls_total',
    help: 'Calls that have ended, including CSV over HTTP. Labels: method; code (of gRPC).',
    labelNames: ['method', 'code'],
    registers,
  })
  const durations = new Histogram({
    name: 'ponix_api_call_duration_seconds',
    help: 'Time from the request to its answer. Labels: method.',
    labelNames: ['method'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  })
  return (record) => {
    const { method, code, durationMs, error } = record
    calls.inc({ method, code: Status[code] })
    durations.observe({ method }, durationMs / 1000)
    if (code === Status.INTERNAL) logger.error({ ...fieldsOf(record), err: error }, 'call')
    else if (code === Status.UNAVAILABLE) logger.warn({ ...fieldsOf(record), err: error }, 'call')
    else if (method.startsWith('grpc.')) logger.debug(fieldsOf(record), 'call')
    else logger.info(fieldsOf(record), 'call')
  }
}

/** Reports the connection pool at every scrape. */
export function observePool(usage: () => Readonly<Record<string, number>>, registry: Registry): void {
  const connections = new Gauge({
    name: 'ponix_api_postgres_pool',
    help: 'Connections to PostgreSQL, idle connections, and calls that wait for a connection. Labels: state (total, idle, waiting).',
    labelNames: ['state'],
    registers: [registry],
    collect() {
      for (const [state, count] of Object.entries(usage())) connections.set({ state }, count)
    },
  })
}

function fieldsOf({ method, code, durationMs, organizationId }: CallRecord): object {
  // As given by the caller, so of any length.
  const organization = organizationId === '' ? {} : { organization_id: organizationId.slice(0, LIMITS.id) }
  return { method, code: Status[code], duration_ms: Math.round(durationMs * 100) / 100, ...organization }
}
