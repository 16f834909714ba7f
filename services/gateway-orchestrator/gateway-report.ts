import type { Gateway } from '../../src/domain/gateway.ts'
import type { GatewayProcess, GatewayProcessEvent } from '../../src/domain/gateway-orchestration/gateway-process.ts'
import type { Logger } from '../../src/runner/logger.ts'

/** One line for each thing that happens to a gateway's process. */
export function logGatewayEvent(logger: Logger, gateway: Gateway, event: GatewayProcessEvent): void {
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
export function describeProcess({ gateway, status }: GatewayProcess, nowMs: number) {
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
