import type { Gateway, JsonValue } from '../entities.ts'

/** `refresh`: the row may have changed, but nothing that affects the process. */
export type Action = 'start' | 'stop' | 'restart' | 'refresh' | 'none'

/**
 * Determines the action that makes the process of a gateway correspond to the desired gateway. Null: the gateway, or its process,
 * does not exist, or another instance runs it.
 *
 * | desired | no process | process with this config | process with another config |
 * |---------|------------|--------------------------|-----------------------------|
 * | null    | none       | stop                     | stop                        |
 * | gateway | start      | refresh                  | restart                     |
 *
 * The config is compared with that of the running process, never with data in an event.
 */
export function reconcile(desired: Gateway | null, running: { readonly fingerprint: string } | null): Action {
  if (desired === null) return running === null ? 'none' : 'stop'
  if (running === null) return 'start'
  return running.fingerprint === configFingerprint(desired) ? 'refresh' : 'restart'
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
