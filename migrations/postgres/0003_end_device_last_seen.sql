-- When each device was last heard. A table of its own and not in the publication: this changes with every payload, and a device
-- that is heard has not changed.

-- migrate:up

CREATE TABLE end_device_last_seen (
  -- Without a foreign key, so that end_devices can still be truncated.
  end_device_id text PRIMARY KEY,
  last_seen_at timestamptz NOT NULL
) WITH (fillfactor = 70);

CREATE FUNCTION ponix_forget_last_seen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM end_device_last_seen WHERE end_device_id = OLD.device_id;
  RETURN NULL;
END
$$;

CREATE TRIGGER end_devices_forget_last_seen AFTER DELETE ON end_devices
  FOR EACH ROW EXECUTE FUNCTION ponix_forget_last_seen();

-- migrate:down

DROP TRIGGER end_devices_forget_last_seen ON end_devices;
DROP FUNCTION ponix_forget_last_seen();
DROP TABLE end_device_last_seen;
