import { Counter, Gauge } from 'prom-client'
import type { GatewayProcessStore } from '../../src/domain/gateway-orchestration/gateway-orchestrator.ts'

/** The maximum number of gateways that have series of their own. */
const MAX_LABELLED_GATEWAYS = 1000

/** Registers the metrics of the processes in the store, which are computed for each response. */
export function registerGatewayMetrics(store: GatewayProcessStore): void {
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
  // eslint-disable-next-line no-new -- a metric registers itself
  new Counter({
    name: 'ponix_gateway_refused_messages_total',
    help: `Messages that cannot be envelopes. Labels: gateway_id (other beyond ${MAX_LABELLED_GATEWAYS} gateways with such messages), reason (invalid_topic, invalid_uplink, unknown_device, not_publishable).`,
    labelNames: ['gateway_id', 'reason'],
    collect() {
      this.reset()
      let labelled = 0
      for (const { gateway, status } of store.list()) {
        const counts = Object.entries(status.refused)
        if (counts.length === 0) continue
        const gatewayId = labelled < MAX_LABELLED_GATEWAYS ? gateway.gatewayId : 'other'
        labelled += 1
        for (const [reason, count] of counts) this.inc({ gateway_id: gatewayId, reason }, count)
      }
    },
  })
}
