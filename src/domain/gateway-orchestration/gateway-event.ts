import type { Gateway } from '../gateway.ts'
import type { Instant } from '../instant.ts'

/** What happened to a gateway's row, in the words of the domain. */
export type GatewayEvent =
  | { readonly type: 'created'; readonly gateway: Gateway }
  | { readonly type: 'updated'; readonly gateway: Gateway }
  /** `version` is the `updatedAt` of the row's last state. */
  | { readonly type: 'deleted'; readonly gatewayId: string; readonly version: Instant }

export function gatewayIdOf(event: GatewayEvent): string {
  return event.type === 'deleted' ? event.gatewayId : event.gateway.gatewayId
}

export function versionOf(event: GatewayEvent): Instant {
  return event.type === 'deleted' ? event.version : event.gateway.updatedAt
}
