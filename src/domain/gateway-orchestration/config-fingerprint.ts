import type { Gateway, JsonValue } from '../gateway.ts'

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
