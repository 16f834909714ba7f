-- The connections of gateways, as the instances of gateway-orchestrator report them. These tables are not in the publication: a
-- connection changes often and does not change the gateway. The status of a gateway follows its connection.

-- migrate:up

-- One row per instance, refreshed periodically: the connections of an instance that is gone are unknown.
CREATE TABLE gateway_instances (
  instance text PRIMARY KEY,
  seen_at timestamptz NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE gateway_connections (
  -- Without a foreign key, so that gateways can still be truncated.
  gateway_id text PRIMARY KEY,
  instance text NOT NULL,
  -- Increases with each start of the gateway: reports of an instance that has lost the gateway are ignored.
  epoch bigint NOT NULL,
  state text NOT NULL,
  since timestamptz NOT NULL,
  started_at timestamptz NOT NULL,
  last_error text,
  retries integer NOT NULL,
  messages bigint NOT NULL,
  refused bigint NOT NULL
) WITH (fillfactor = 70);

CREATE SEQUENCE gateway_connection_epochs;

CREATE FUNCTION ponix_forget_connection() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM gateway_connections WHERE gateway_id = OLD.gateway_id;
  RETURN NULL;
END
$$;

CREATE TRIGGER gateways_forget_connection AFTER DELETE ON gateways
  FOR EACH ROW EXECUTE FUNCTION ponix_forget_connection();

-- A new gateway is not connected yet.
ALTER TABLE gateways ALTER COLUMN status SET DEFAULT 'pending';

-- The status does not change the version of the row.
DROP TRIGGER gateways_touch ON gateways;
CREATE TRIGGER gateways_touch
  BEFORE UPDATE OF gateway_id, organization_id, name, gateway_type, gateway_config, created_at, updated_at, deleted_at ON gateways
  FOR EACH ROW EXECUTE FUNCTION ponix_touch();

-- migrate:down

DROP TRIGGER gateways_touch ON gateways;
CREATE TRIGGER gateways_touch BEFORE UPDATE ON gateways FOR EACH ROW EXECUTE FUNCTION ponix_touch();
ALTER TABLE gateways ALTER COLUMN status SET DEFAULT 'active';
DROP TRIGGER gateways_forget_connection ON gateways;
DROP FUNCTION ponix_forget_connection();
DROP SEQUENCE gateway_connection_epochs;
DROP TABLE gateway_connections;
DROP TABLE gateway_instances;
