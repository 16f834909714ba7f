-- Readers ask the view processed_envelopes, which shows every envelope once. Writers insert into the table behind it, where
-- an envelope that was written twice may lie twice until ClickHouse has merged it away (docs/exactly-once.md).
-- ClickHouse has no transactions for this: every statement can be run again after a failure half-way.

-- migrate:up

CREATE TABLE IF NOT EXISTS processed_envelope_rows (
  organization_id String,
  end_device_id String,
  occurred_at DateTime64(6, 'UTC'),
  processed_at DateTime64(6, 'UTC') DEFAULT now64(6),
  data JSON,
  -- Names the envelope: the same whenever it is written again.
  identity String
)
ENGINE = ReplacingMergeTree(processed_at)
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (organization_id, end_device_id, occurred_at, identity)
SETTINGS
  -- So many inserts are known by their tokens; a second try of one of them is dropped.
  non_replicated_deduplication_window = 1000,
  -- An insert is answered when it is on the disk: its messages are acknowledged then.
  fsync_after_insert = 1,
  fsync_part_directory = 1;

-- Rows of one envelope have the same occurred_at, hence the same partition, so partitions need not be compared.
CREATE VIEW IF NOT EXISTS processed_envelopes AS
SELECT organization_id, end_device_id, occurred_at, processed_at, data
FROM processed_envelope_rows FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1;

-- migrate:down

DROP VIEW IF EXISTS processed_envelopes;

DROP TABLE IF EXISTS processed_envelope_rows;
