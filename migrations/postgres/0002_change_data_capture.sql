-- What the service cdc reads. Updates and deletes carry the whole old row.

-- migrate:up

ALTER TABLE organizations REPLICA IDENTITY FULL;
ALTER TABLE end_devices REPLICA IDENTITY FULL;
ALTER TABLE gateways REPLICA IDENTITY FULL;

-- The service makes the publication itself when it finds none, and may have been quicker.
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_publication WHERE pubname = 'ponix_cdc_publication') THEN
    ALTER PUBLICATION ponix_cdc_publication SET TABLE organizations, end_devices, gateways;
  ELSE
    CREATE PUBLICATION ponix_cdc_publication FOR TABLE organizations, end_devices, gateways;
  END IF;
END
$$;

-- migrate:down

DROP PUBLICATION ponix_cdc_publication;

ALTER TABLE gateways REPLICA IDENTITY DEFAULT;
ALTER TABLE end_devices REPLICA IDENTITY DEFAULT;
ALTER TABLE organizations REPLICA IDENTITY DEFAULT;
