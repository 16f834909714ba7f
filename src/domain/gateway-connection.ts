import type { Gateway, GatewayStatus } from './entities.ts'
import type { Instant } from './instant.ts'
import type { CallOptions } from './ports.ts'

/** The state of a gateway's process, as its instance reports it. `unknown`: no live instance runs the gateway. */
export type GatewayConnectionState =
  | 'unknown'
  | 'starting'
  | 'running'
  | 'interrupted'
  | 'retrying'
  | 'failing'
  | 'failed'

/** The connection of a gateway. The counts begin with the start of the gateway. */
export interface GatewayConnection {
  readonly state: GatewayConnectionState
  /** The begin of the state; if it is unknown, the last sign of life of the instance. */
  readonly since: Instant | null
  readonly startedAt: Instant | null
  readonly lastError: string | null
  readonly instance: string | null
  /** Consecutive failures. */
  readonly retries: number
  readonly messages: number
  /** The messages that cannot be envelopes. */
  readonly refused: number
}

/** The state of a gateway that an instance reports. Ages are in milliseconds, because clocks of machines differ. */
export interface GatewayConnectionReport extends Pick<
  GatewayConnection,
  'state' | 'lastError' | 'retries' | 'messages' | 'refused'
> {
  readonly gatewayId: string
  /** From `nextEpoch`: a report is ignored if one with a later epoch is stored. */
  readonly epoch: bigint
  readonly stateAgeMs: number
  readonly ageMs: number
}

/** Reads the connections of gateways. Throws DomainError `unavailable`. */
export interface GatewayConnectionReader {
  /** Returns the connections by gateway id; a gateway that no instance has reported is absent. */
  read(gatewayIds: readonly string[], options?: CallOptions): Promise<ReadonlyMap<string, GatewayConnection>>
}

/** Stores the connections of gateways. Throws DomainError `unavailable`. */
export interface GatewayConnectionStore {
  /** Marks the instance as live; without it for half a minute, its connections are unknown. */
  beat(instance: string, options?: CallOptions): Promise<void>
  /** Returns an epoch that is later than all others. */
  nextEpoch(options?: CallOptions): Promise<bigint>
  /** Stores reports, and the status of their gateways, in one statement. Returns the gateways of which a later epoch is stored. */
  report(
    instance: string,
    reports: readonly GatewayConnectionReport[],
    options?: CallOptions,
  ): Promise<ReadonlySet<string>>
  /** Removes the connections of gateways by id, unless another epoch is stored. */
  remove(epochs: ReadonlyMap<string, bigint>, options?: CallOptions): Promise<void>
  /** Makes all connections of the instance unknown. */
  leave(instance: string, options?: CallOptions): Promise<void>
}

const UNKNOWN: GatewayConnection = {
  state: 'unknown',
  since: null,
  startedAt: null,
  lastError: null,
  instance: null,
  retries: 0,
  messages: 0,
  refused: 0,
}

/** Returns the status of a gateway in this state. */
export function statusOf(state: GatewayConnectionState): GatewayStatus {
  switch (state) {
    case 'running':
      return 'active'
    case 'failing':
    case 'failed':
      return 'error'
    case 'unknown':
    case 'starting':
    case 'interrupted':
    case 'retrying':
      return 'pending'
  }
}

export interface ConnectedGateway extends Gateway {
  readonly connection: GatewayConnection
}

/**
 * Adds the connections to gateways. Their status follows from it, because the stored one remains if the instance of the gateway
 * dies.
 */
export async function withConnections(
  gateways: readonly Gateway[],
  connections: GatewayConnectionReader,
  options?: CallOptions,
): Promise<readonly ConnectedGateway[]> {
  const found = await connections.read(
    gateways.map(({ gatewayId }) => gatewayId),
    options,
  )
  return gateways.map((gateway) => {
    const connection = found.get(gateway.gatewayId) ?? UNKNOWN
    return { ...gateway, status: statusOf(connection.state), connection }
  })
}
