-- When each device was last heard, whatever became of its payload, and the error of the last payload that failed.

-- migrate:up

ALTER TABLE end_device_last_seen
  ALTER COLUMN last_seen_at DROP NOT NULL,
  ADD COLUMN last_heard_at timestamptz,
  ADD COLUMN last_error text,
  -- When the payload that failed was received.
  ADD COLUMN last_error_at timestamptz;

UPDATE end_device_last_seen SET last_heard_at = last_seen_at;

-- migrate:down

DELETE FROM end_device_last_seen WHERE last_seen_at IS NULL;

ALTER TABLE end_device_last_seen
  ALTER COLUMN last_seen_at SET NOT NULL,
  DROP COLUMN last_heard_at,
  DROP COLUMN last_error,
  DROP COLUMN last_error_at;
