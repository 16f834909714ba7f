-- What a network server knows of an uplink besides its payload. Only LoRaWAN gateways set these columns.

-- migrate:up

ALTER TABLE processed_envelope_rows
  ADD COLUMN IF NOT EXISTS f_port Nullable(UInt32),
  ADD COLUMN IF NOT EXISTS f_cnt Nullable(UInt32),
  ADD COLUMN IF NOT EXISTS metadata JSON;

CREATE OR REPLACE VIEW processed_envelopes AS
SELECT organization_id, end_device_id, occurred_at, processed_at, data, f_port, f_cnt, metadata
FROM processed_envelope_rows FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1;

-- migrate:down

CREATE OR REPLACE VIEW processed_envelopes AS
SELECT organization_id, end_device_id, occurred_at, processed_at, data
FROM processed_envelope_rows FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1;

ALTER TABLE processed_envelope_rows
  DROP COLUMN IF EXISTS f_port,
  DROP COLUMN IF EXISTS f_cnt,
  DROP COLUMN IF EXISTS metadata;
