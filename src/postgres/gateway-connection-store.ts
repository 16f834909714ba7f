import {
  type GatewayConnection,
  type GatewayConnectionReader,
  type GatewayConnectionReport,
  type GatewayConnectionStore,
  statusOf,
} from '../domain/gateway-connection.ts'
import type { CallOptions } from '../domain/ports.ts'
import type { PostgresDatabase, Statement } from './database.ts'

/** An instance that was seen longer ago is dead. It beats three times as often. */
const LIVE_FOR = "interval '30 seconds'"
const FORGOTTEN_AFTER = "interval '1 day'"

const READ: Statement = {
  name: 'read_gateway_connections',
  text: `SELECT gateway_id AS "gatewayId",
      CASE WHEN live THEN state ELSE 'unknown' END AS state,
      CASE WHEN live THEN since ELSE seen_at END AS since,
      started_at AS "startedAt", last_error AS "lastError", instance, retries,
      messages::float8 AS messages, refused::float8 AS refused
    FROM gateway_connections LEFT JOIN gateway_instances USING (instance),
      LATERAL (SELECT coalesce(seen_at > now() - ${LIVE_FOR}, false) AS live) liveness
    WHERE gateway_id = ANY($1)`,
}

const BEAT: Statement = {
  name: 'beat_gateway_instance',
  text: `WITH forgotten AS (DELETE FROM gateway_instances WHERE seen_at < now() - ${FORGOTTEN_AFTER} AND instance <> $1)
    INSERT INTO gateway_instances (instance, seen_at) VALUES ($1, now())
    ON CONFLICT (instance) DO UPDATE SET seen_at = now()`,
}

const LEAVE: Statement = {
  name: 'leave_gateway_instance',
  text: 'DELETE FROM gateway_instances WHERE instance = $1',
}

const NEXT_EPOCH: Statement = {
  name: 'next_gateway_epoch',
  text: `SELECT nextval('gateway_connection_epochs') AS epoch`,
}

/**
 * Locks the gateways in the order of their ids, so that concurrent statements cannot deadlock, then stores the reports whose epoch is
 * not outdated and that change something, then the status where it differs. A report of a gateway that is deleted has no effect.
 */
const REPORT: Statement = {
  name: 'report_gateway_connections',
  text: `WITH report AS (
      SELECT gateway_id, epoch, state, status, last_error, retries, messages, refused,
        clock_timestamp() - state_age_ms * interval '1 millisecond' AS since,
        clock_timestamp() - age_ms * interval '1 millisecond' AS started_at
      FROM unnest($2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::integer[], $8::bigint[], $9::bigint[],
        $10::float8[], $11::float8[])
        AS r (gateway_id, epoch, state, status, last_error, retries, messages, refused, state_age_ms, age_ms)
    ), stored AS (
      SELECT gateway_id FROM gateways JOIN report USING (gateway_id) WHERE deleted_at IS NULL
      ORDER BY gateway_id FOR NO KEY UPDATE OF gateways
    ), changed AS (
      INSERT INTO gateway_connections AS c
        (gateway_id, instance, epoch, state, since, started_at, last_error, retries, messages, refused)
      SELECT gateway_id, $1, epoch, state, since, started_at, last_error, retries, messages, refused
      FROM stored JOIN report USING (gateway_id) ORDER BY gateway_id
      ON CONFLICT (gateway_id) DO UPDATE SET instance = excluded.instance, epoch = excluded.epoch, state = excluded.state,
        since = excluded.since, started_at = excluded.started_at, last_error = excluded.last_error,
        retries = excluded.retries, messages = excluded.messages, refused = excluded.refused
      WHERE c.epoch <= excluded.epoch AND (
        (c.epoch, c.state, c.last_error, c.retries, c.messages, c.refused) IS DISTINCT FROM
          (excluded.epoch, excluded.state, excluded.last_error, excluded.retries, excluded.messages, excluded.refused)
        -- Computed from an age, an unchanged time differs by the duration of the call.
        OR c.since < excluded.since - interval '10 seconds')
      RETURNING gateway_id
    ), followed AS (
      UPDATE gateways SET status = report.status FROM changed JOIN report USING (gateway_id)
      WHERE gateways.gateway_id = report.gateway_id AND gateways.status <> report.status
    )
    SELECT gateway_id AS "gatewayId" FROM gateway_connections c JOIN report USING (gateway_id) WHERE c.epoch > report.epoch`,
}

const REMOVE: Statement = {
  name: 'remove_gateway_connections',
  text: `DELETE FROM gateway_connections WHERE gateway_id IN (
      SELECT c.gateway_id FROM gateway_connections c JOIN unnest($1::text[], $2::bigint[]) AS r (gateway_id, epoch)
        ON c.gateway_id = r.gateway_id AND c.epoch = r.epoch
      ORDER BY c.gateway_id FOR UPDATE OF c)`,
}

/** Stores and reads the connections of gateways. All times are those of the database's clock. */
export class PostgresGatewayConnectionStore implements GatewayConnectionStore, GatewayConnectionReader {
  readonly #database: PostgresDatabase

  constructor(database: PostgresDatabase) {
    this.#database = database
  }

  async read(gatewayIds: readonly string[], options?: CallOptions): Promise<ReadonlyMap<string, GatewayConnection>> {
    if (gatewayIds.length === 0) return new Map()
    type Row = GatewayConnection & { readonly gatewayId: string }
    const rows = await this.#database.query<Row>(READ, [gatewayIds], options)
    return new Map(rows.map(({ gatewayId, ...connection }) => [gatewayId, connection]))
  }

  async beat(instance: string, options?: CallOptions): Promise<void> {
    await this.#database.query(BEAT, [instance], options)
  }

  async leave(instance: string, options?: CallOptions): Promise<void> {
    await this.#database.query(LEAVE, [instance], options)
  }

  async nextEpoch(options?: CallOptions): Promise<bigint> {
    const [row] = await this.#database.query<{ epoch: string }>(NEXT_EPOCH, [], options)
    return BigInt(row?.epoch ?? '')
  }

  async report(
    instance: string,
    reports: readonly GatewayConnectionReport[],
    options?: CallOptions,
  ): Promise<ReadonlySet<string>> {
    const columns = [
      reports.map(({ gatewayId }) => gatewayId),
      reports.map(({ epoch }) => epoch),
      reports.map(({ state }) => state),
      reports.map(({ state }) => statusOf(state)),
      // PostgreSQL rejects the character NUL in a text.
      reports.map(({ lastError }) => lastError?.replaceAll('\0', '') ?? null),
      reports.map(({ retries }) => retries),
      reports.map(({ messages }) => messages),
      reports.map(({ refused }) => refused),
      reports.map(({ stateAgeMs }) => stateAgeMs),
      reports.map(({ ageMs }) => ageMs),
    ]
    const outdated = await this.#database.query<{ gatewayId: string }>(REPORT, [instance, ...columns], options)
    return new Set(outdated.map(({ gatewayId }) => gatewayId))
  }

  async remove(epochs: ReadonlyMap<string, bigint>, options?: CallOptions): Promise<void> {
    await this.#database.query(REMOVE, [[...epochs.keys()], [...epochs.values()]], options)
  }
}
