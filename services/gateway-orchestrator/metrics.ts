import { Counter, Gauge } from 'prom-client'
import type { GatewayProcessStore } from '../../src/domain/gateway-orchestration/gateway-orchestrator.ts'
import type { GatewayProcessStatus } from '../../src/domain/gateway-orchestration/gateway-process.ts'
import type { InFlightBudget } from '../../src/mqtt/in-flight-budget.ts'
import type { OverlapWarnings } from './overlap-warnings.ts'

/** The maximum number of gateways that have series of their own. */
const MAX_LABELLED_GATEWAYS = 1000

export interface GatewayMetricsParts {
  readonly store: GatewayProcessStore
  readonly overlaps: OverlapWarnings
  readonly budget: InFlightBudget
}

/** Registers metrics that are computed for each response. */
export function registerGatewayMetrics({ store, overlaps, budget }: GatewayMetricsParts): void {
  // eslint-disable-next-line no-new -- a metric registers itself
  new Gauge({
    name: 'ponix_gateways',
    help: 'Gateways. Labels: state (starting, running, interrupted, retrying, failing, failed, stopped).',
    labelNames: ['state'],
    collect() {
      this.reset()
      for (const { status } of store.list()) this.inc({ state: status.state })
    },
  })
  registerValue({
    name: 'ponix_gateway_overlaps',
    help: 'Gateways that may receive the same messages as another gateway of their organization.',
    value: () => overlaps.count,
  })
  registerValue({
    name: 'ponix_mqtt_in_flight_bytes',
    help: 'Bytes of MQTT messages that are received and not stored, over all connections.',
    value: () => budget.bytes,
  })
  registerValue({
    name: 'ponix_mqtt_waiting_connections',
    help: 'MQTT connections that are not read, because the messages of their organization that are not stored use up its share.',
    value: () => budget.waiting,
  })
  registerCounter(store, {
    name: 'ponix_gateway_events_total',
    help: `Events of network servers that are not uplinks. Labels: gateway_id (other beyond ${MAX_LABELLED_GATEWAYS} gateways with such events), kind (join, down, ack, txack, log, status, location, integration, service).`,
    label: 'kind',
    countsOf: ({ events }) => events,
  })
  registerCounter(store, {
    name: 'ponix_gateway_refused_messages_total',
    help: `Messages that cannot be envelopes. Labels: gateway_id (other beyond ${MAX_LABELLED_GATEWAYS} gateways with such messages), reason (invalid_topic, invalid_uplink, unknown_device, not_publishable).`,
    label: 'reason',
    countsOf: ({ refused }) => refused,
  })
}

/** Registers a gauge without labels. */
function registerValue({ name, help, value }: { name: string; help: string; value: () => number }): void {
  // eslint-disable-next-line no-new -- a metric registers itself
  new Gauge({
    name,
    help,
    collect() {
      this.set(value())
    },
  })
}

interface GatewayCounter {
  readonly name: string
  readonly help: string
  readonly label: string
  readonly countsOf: (status: GatewayProcessStatus) => Readonly<Record<string, number>>
}

/** Registers a counter by gateway and another label. */
function registerCounter(store: GatewayProcessStore, { name, help, label, countsOf }: GatewayCounter): void {
  // eslint-disable-next-line no-new -- a metric registers itself
  new Counter({
    name,
    help,
    labelNames: ['gateway_id', label],
    collect() {
      this.reset()
      let labelled = 0
      for (const { gateway, status } of store.list()) {
        const counts = Object.entries(countsOf(status))
        if (counts.length === 0) continue
        const gatewayId = labelled < MAX_LABELLED_GATEWAYS ? gateway.gatewayId : 'other'
        labelled += 1
        for (const [value, count] of counts) this.inc({ gateway_id: gatewayId, [label]: value }, count)
      }
    },
  })
}
