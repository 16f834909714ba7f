import { status as Status } from '@grpc/grpc-js'
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { Logger } from '../../src/runner/logger.ts'
import { codeName } from './status.ts'

/** What is told of a call that has ended: never anything of its payload. */
export interface CallRecord {
  /** `ponix.gateway.v1.GatewayService/GetGateway` */
  readonly method: string
  readonly code: Status
  readonly durationMs: number
  /** Empty when the call has none, or ended before it was known. */
  readonly organizationId: string
  /** What went wrong, for the log only. */
  readonly error?: unknown
}

export type Observer = (record: CallRecord) => void

/** Writes the request log and the metrics. Calls of gRPC's own services (health, reflection) are logged at debug level. */
export function createObserver(logger: Logger, registry: Registry): Observer {
  const registers = [registry]
  const calls = new Counter({
    name: 'ponix_api_calls_total',
    help: 'gRPC calls that have ended, by method and status code',
    labelNames: ['method', 'code'],
    registers,
  })
  const durations = new Histogram({
    name: 'ponix_api_call_duration_seconds',
    help: 'Time from the request to its answer, by method',
    labelNames: ['method'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  })
  return (record) => {
    const { method, code, durationMs } = record
    calls.inc({ method, code: codeName(code) })
    durations.observe({ method }, durationMs / 1000)
    logger[levelOf(record)](fieldsOf(record), 'call')
  }
}

/** Shows what the pool of connections holds whenever metrics are read. */
export function observePool(usage: () => Readonly<Record<string, number>>, registry: Registry): void {
  const connections = new Gauge({
    name: 'ponix_api_postgres_pool',
    help: 'Connections to PostgreSQL, those without work, and calls that wait for one',
    labelNames: ['state'],
    registers: [registry],
    collect() {
      for (const [state, count] of Object.entries(usage())) connections.set({ state }, count)
    },
  })
}

function levelOf({ method, code }: CallRecord): 'debug' | 'info' | 'warn' | 'error' {
  if (code === Status.INTERNAL) return 'error'
  if (code === Status.UNAVAILABLE) return 'warn'
  return method.startsWith('grpc.') ? 'debug' : 'info'
}

function fieldsOf({ method, code, durationMs, organizationId, error }: CallRecord): object {
  const fields = { method, code: codeName(code), duration_ms: Math.round(durationMs * 100) / 100 }
  const told = code === Status.INTERNAL || code === Status.UNAVAILABLE ? { err: error } : {}
  return organizationId === '' ? { ...fields, ...told } : { ...fields, organization_id: organizationId, ...told }
}
