import type { Gateway, JsonValue } from '../entities.ts'
import type { Instant } from '../instant.ts'

/** What is known of a gateway before an event: the process that runs for it, or when it went away. */
export type Known =
  | { readonly type: 'running'; readonly fingerprint: string; readonly version: Instant }
  | { readonly type: 'removed'; readonly version: Instant }
  | { readonly type: 'unknown' }

export type Decision =
  | { readonly type: 'start'; readonly gateway: Gateway }
  | { readonly type: 'restart'; readonly gateway: Gateway }
  /** Newer, but nothing that its process cares about. */
  | { readonly type: 'keep'; readonly gateway: Gateway }
  | { readonly type: 'remove'; readonly version: Instant }
  | { readonly type: 'ignore'; readonly because: 'older' | 'unknown_gateway' }

/**
 * What an event asks for.
 *
 * | event                       | running                          | removed            | unknown |
 * |-----------------------------|----------------------------------|--------------------|---------|
 * | not newer than what is known| ignore                           | ignore             | –       |
 * | created                     | keep, or restart on a new config | start              | start   |
 * | updated                     | keep, or restart on a new config | start              | start   |
 * | updated with deletedAt      | remove                           | remove             | remove  |
 * | deleted                     | remove                           | remove             | ignore  |
 *
 * The config is compared with the one the process was started with, never with something the event carries (G-3). A delete
 * carries the last state of the row, so it counts from the version that is running on, not only from a newer one. The
 * version of a removed gateway is kept so that a late, older event does not bring it back (G-5).
 */
export function decide(known: Known, event: GatewayEvent): Decision {
  const version = versionOf(event)
  if (event.type === 'deleted') {
    if (known.type === 'unknown') return { type: 'ignore', because: 'unknown_gateway' }
    return version < known.version ? { type: 'ignore', because: 'older' } : { type: 'remove', version }
  }
  if (known.type !== 'unknown' && version <= known.version) return { type: 'ignore', because: 'older' }
  const { gateway } = event
  if (gateway.deletedAt !== null) return { type: 'remove', version }
  if (known.type !== 'running') return { type: 'start', gateway }
  return { type: known.fingerprint === configFingerprint(gateway) ? 'keep' : 'restart', gateway }
}

/** What happened to a gateway's row, in the words of the domain. */
export type GatewayEvent =
  | { readonly type: 'created'; readonly gateway: Gateway }
  | { readonly type: 'updated'; readonly gateway: Gateway }
  /** `version` is the `updatedAt` of the row's last state. */
  | { readonly type: 'deleted'; readonly gatewayId: string; readonly version: Instant }

export function gatewayIdOf(event: GatewayEvent): string {
  return event.type === 'deleted' ? event.gatewayId : event.gateway.gatewayId
}

function versionOf(event: GatewayEvent): Instant {
  return event.type === 'deleted' ? event.version : event.gateway.updatedAt
}

/** JSON with the keys of every object in one order, so that equal values have equal texts. */
function canonicalJson(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
    return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item)}`).join(',')}}`
  }
  return JSON.stringify(value)
}

/** Equal for two gateways exactly if one process serves both alike: type, organization and config, whatever the keys' order. */
export function configFingerprint(gateway: Gateway): string {
  return canonicalJson([gateway.gatewayType.toLowerCase(), gateway.organizationId, gateway.gatewayConfig])
}
