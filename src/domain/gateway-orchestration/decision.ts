import type { Gateway, JsonValue } from '../entities.ts'
import type { Instant } from '../instant.ts'

export type GatewayEvent =
  | { readonly type: 'created' | 'updated'; readonly gateway: Gateway }
  /** `version` is the `updatedAt` of the row's last state. */
  | { readonly type: 'deleted'; readonly gatewayId: string; readonly version: Instant }

/** The state of a gateway before an event. */
export type Known =
  | { readonly type: 'running'; readonly fingerprint: string; readonly version: Instant }
  | { readonly type: 'removed'; readonly version: Instant }
  | { readonly type: 'unknown' }

export type Decision =
  /** `keep`: the row changed, but nothing that affects its process. */
  | { readonly type: 'start' | 'restart' | 'keep'; readonly gateway: Gateway }
  | { readonly type: 'remove'; readonly version: Instant }
  | { readonly type: 'ignore' }

/**
 * Determines how to handle an event.
 *
 * | event                       | running                          | removed            | unknown |
 * |-----------------------------|----------------------------------|--------------------|---------|
 * | not newer than the state    | ignore                           | ignore             | –       |
 * | created, updated            | keep, or restart on a new config | start              | start   |
 * | updated with deletedAt      | remove                           | remove             | remove  |
 * | deleted                     | remove                           | remove             | ignore  |
 *
 * The config is compared with the config of the running process, never with data in the event. A delete contains the last
 * state of the row, so it applies from the running version on, not only from a newer version. The version of a removed gateway is
 * kept so that a late, older event does not restart it.
 */
export function decide(known: Known, event: GatewayEvent): Decision {
  if (event.type === 'deleted') {
    const { version } = event
    return known.type === 'unknown' || version < known.version ? { type: 'ignore' } : { type: 'remove', version }
  }
  const { gateway } = event
  const version = gateway.updatedAt
  if (known.type !== 'unknown' && version <= known.version) return { type: 'ignore' }
  if (gateway.deletedAt !== null) return { type: 'remove', version }
  if (known.type !== 'running') return { type: 'start', gateway }
  return { type: known.fingerprint === configFingerprint(gateway) ? 'keep' : 'restart', gateway }
}

/** Returns a text that is equal for two gateways exactly if type, organization and config are equal, ignoring the order of keys. */
export function configFingerprint(gateway: Gateway): string {
  return canonicalJson([gateway.gatewayType.toLowerCase(), gateway.organizationId, gateway.gatewayConfig])
}

function canonicalJson(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
    return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item)}`).join(',')}}`
  }
  return JSON.stringify(value)
}
