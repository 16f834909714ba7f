-- Organizations own end devices and gateways. Ids are given by whoever inserts; timestamps, status, name and configuration
-- have defaults, so that plain SQL works too.

-- migrate:up

CREATE FUNCTION ponix_touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- Moves with every update, even when two fall into one microsecond or the clock steps back.
  IF NEW.updated_at <= OLD.updated_at THEN
    NEW.updated_at := GREATEST(clock_timestamp(), OLD.updated_at + interval '1 microsecond');
  END IF;
  RETURN NEW;
END
$$;

CREATE TABLE organizations (
  id text PRIMARY KEY CHECK (id <> ''),
  name text NOT NULL DEFAULT '',
  status text NOT NULL DEFAULT 'active' CHECK (status IN ('pending', 'active', 'inactive')),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  -- Set when the organization is deleted; the row stays.
  deleted_at timestamptz
);

CREATE INDEX organizations_newest ON organizations (created_at DESC, id DESC) WHERE deleted_at IS NULL;

CREATE TRIGGER organizations_touch BEFORE UPDATE ON organizations FOR EACH ROW EXECUTE FUNCTION ponix_touch();

CREATE TABLE end_devices (
  device_id text PRIMARY KEY CHECK (device_id <> ''),
  organization_id text NOT NULL REFERENCES organizations (id),
  name text NOT NULL DEFAULT '',
  -- CEL; empty while the device has none.
  payload_conversion text NOT NULL DEFAULT '',
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX end_devices_newest ON end_devices (organization_id, created_at DESC, device_id DESC);

CREATE TRIGGER end_devices_touch BEFORE UPDATE ON end_devices FOR EACH ROW EXECUTE FUNCTION ponix_touch();

CREATE TABLE gateways (
  gateway_id text PRIMARY KEY CHECK (gateway_id <> ''),
  organization_id text NOT NULL REFERENCES organizations (id),
  name text NOT NULL DEFAULT '',
  gateway_type text NOT NULL,
  gateway_config jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(gateway_config) = 'object'),
  status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'error', 'pending')),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  -- Set when the gateway is deleted; the row stays.
  deleted_at timestamptz
);

CREATE INDEX gateways_newest ON gateways (organization_id, created_at DESC, gateway_id DESC) WHERE deleted_at IS NULL;

CREATE TRIGGER gateways_touch BEFORE UPDATE ON gateways FOR EACH ROW EXECUTE FUNCTION ponix_touch();

-- migrate:down

DROP TABLE gateways;
DROP TABLE end_devices;
DROP TABLE organizations;
DROP FUNCTION ponix_touch();
