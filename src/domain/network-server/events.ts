import type { BrokerType } from '../gateway-config.ts'

/**
 * The events of a network server besides uplinks, by kind: the ends of their topics, in the place of `up`. ChirpStack v4: "Event types"
 * of https://www.chirpstack.io/docs/chirpstack/integrations/events.html; The Things Stack v3: "MQTT server" of
 * https://www.thethingsindustries.com/docs/integrations/other-integrations/mqtt/.
 */
const EVENTS = {
  chirpstack: {
    join: 'join',
    ack: 'ack',
    txack: 'txack',
    log: 'log',
    status: 'status',
    location: 'location',
    integration: 'integration',
  },
  ttn: { join: 'join', down: 'down/+', location: 'location/+', service: 'service/+' },
} as const

/** Returns the topic filter of each kind of event of a gateway that subscribes to uplinks with this filter. */
export function eventFilters(type: BrokerType, uplinkFilter: string): ReadonlyMap<string, string> {
  if (type !== 'chirpstack' && type !== 'ttn') return new Map()
  return new Map(Object.entries(EVENTS[type]).map(([kind, end]) => [kind, uplinkFilter.replace(/up$/, end)]))
}
