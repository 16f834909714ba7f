-- The id of a device in a network server: a DevEUI, or the device id of The Things Stack for a device without one.

-- migrate:up

ALTER TABLE end_devices ADD COLUMN external_id text NOT NULL DEFAULT ''
  -- In its normal form, in which it is looked up; empty while the device has none.
  CONSTRAINT end_devices_external_id_form CHECK (external_id ~ '^([a-z0-9](-?[a-z0-9]){2,35})?$');

CREATE UNIQUE INDEX end_devices_external_id ON end_devices (organization_id, external_id) WHERE external_id <> '';

-- migrate:down

ALTER TABLE end_devices DROP COLUMN external_id;
