-- What the service cdc remembers of each replication slot. It is not in the publication, and is backed up and restored with the
-- tables, so that a slot that is missing after a restore is a lost slot.

-- migrate:up

CREATE TABLE ponix_cdc_slots (
  slot text PRIMARY KEY CHECK (slot ~ '^[a-z0-9_]{1,63}$'),
  -- The slot was created; if it is missing now, it is lost.
  created boolean NOT NULL DEFAULT false,
  -- A snapshot that is due or incomplete; the id is part of the ids of its messages.
  snapshot_id text CHECK (snapshot_id <> ''),
  -- The tables that are stored completely, such as public.gateways.
  snapshot_done text[] NOT NULL DEFAULT '{}',
  -- The table that is stored partly, and the key of its last stored row.
  snapshot_table text,
  snapshot_after text,
  CHECK ((snapshot_table IS NULL) = (snapshot_after IS NULL)),
  CHECK (snapshot_id IS NOT NULL OR (snapshot_done = '{}' AND snapshot_table IS NULL))
);

-- Earlier versions kept this state in the comment of the publication, as [slot NAME] and [snapshot NAME JSON in base64url].
DO $$
DECLARE
  mark CONSTANT text := '\[(?:slot|snapshot) [a-z0-9_]+[^]]*\]';
  publication record;
BEGIN
  FOR publication IN
    SELECT pubname AS name, obj_description(oid, 'pg_publication') AS comment
    FROM pg_publication WHERE obj_description(oid, 'pg_publication') ~ mark
  LOOP
    INSERT INTO ponix_cdc_slots (slot, created)
    SELECT part[1], true FROM regexp_matches(publication.comment, '\[slot ([a-z0-9_]+)\]', 'g') part
    ON CONFLICT (slot) DO NOTHING;

    INSERT INTO ponix_cdc_slots (slot, snapshot_id, snapshot_done, snapshot_table, snapshot_after)
    SELECT part[1], snapshot ->> 'id', ARRAY(SELECT jsonb_array_elements_text(snapshot -> 'done')),
      snapshot -> 'partly' ->> 'table', snapshot -> 'partly' ->> 'after'
    FROM regexp_matches(publication.comment, '\[snapshot ([a-z0-9_]+) ([A-Za-z0-9_-]+)\]', 'g') part,
      rpad(translate(part[2], '-_', '+/'), (length(part[2]) + 3) / 4 * 4, '=') base64,
      CAST(convert_from(decode(base64, 'base64'), 'UTF8') AS jsonb) snapshot
    ON CONFLICT (slot) DO UPDATE SET snapshot_id = excluded.snapshot_id, snapshot_done = excluded.snapshot_done,
      snapshot_table = excluded.snapshot_table, snapshot_after = excluded.snapshot_after;

    EXECUTE format('COMMENT ON PUBLICATION %I IS %L', publication.name,
      nullif(trim(regexp_replace(publication.comment, '\s*' || mark, '', 'g')), ''));
  END LOOP;
END
$$;

-- migrate:down

DROP TABLE ponix_cdc_slots;
