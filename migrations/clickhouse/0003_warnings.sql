-- What the codec of a device warned of while it decoded the payload.

-- migrate:up

ALTER TABLE processed_envelope_rows
  ADD COLUMN IF NOT EXISTS warnings Array(String);

CREATE OR REPLACE VIEW processed_envelopes AS
SELECT organization_id, end_device_id, occurred_at, processed_at, data, f_port, f_cnt, metadata, warnings
FROM processed_envelope_rows FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1;

-- migrate:down

CREATE OR REPLACE VIEW processed_envelopes AS
SELECT organization_id, end_device_id, occurred_at, processed_at, data, f_port, f_cnt, metadata
FROM processed_envelope_rows FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1;

ALTER TABLE processed_envelope_rows
  DROP COLUMN IF EXISTS warnings;
