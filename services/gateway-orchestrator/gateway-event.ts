import { MappingError, messageOf } from '../../src/domain/errors.ts'
import type { GatewayEvent } from '../../src/domain/gateway-orchestration/desired-gateways.ts'
import type { Commit } from '../../src/domain/gateway-orchestration/version.ts'
import type { Delivery } from '../../src/nats/delivery.ts'
import { parseLsn } from '../../src/postgres/replication/change.ts'
import { decodeGateway } from '../../src/proto/entities.ts'

type Event = Pick<Delivery, 'subject' | 'body' | 'header'>

/** Maps an event of cdc to the domain. Throws a MappingError for an unknown subject, an invalid body or a missing position. */
export function gatewayEventOf(event: Event): GatewayEvent {
  const { subject, body } = event
  switch (subject) {
    case 'gateway.create':
    case 'gateway.update':
      return { type: 'stored', gateway: decodeGateway(body), version: commitOf(event) }
    case 'gateway.delete':
      return { type: 'deleted', gatewayId: decodeGateway(body).gatewayId, version: commitOf(event) }
    case 'gateway.truncate':
      return { type: 'remaining', gatewayIds: new Set(), version: commitOf(event) }
    default:
      throw new MappingError(
        `unknown gateway event ${subject}; expected gateway.create, gateway.update, gateway.delete or gateway.truncate`,
      )
  }
}

/** Reads the position of the change, which docs/cdc.md describes. */
function commitOf(event: Event): Commit {
  return {
    type: 'commit',
    lsn: read(event, 'Ponix-Lsn', parseLsn),
    index: read(event, 'Ponix-Index', parseInteger),
    transactionId: read(event, 'Ponix-Transaction-Id', parseInteger),
  }
}

function read<T>(event: Event, name: string, parse: (text: string) => T): T {
  const text = event.header(name)
  if (text === undefined) throw new MappingError(`the header ${name} of the gateway event is missing`)
  try {
    return parse(text)
  } catch (cause) {
    throw new MappingError(`invalid header ${name} of the gateway event: ${messageOf(cause)}`, { cause })
  }
}

function parseInteger(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new RangeError(`not a number: ${JSON.stringify(text)}`)
  return Number(text)
}
