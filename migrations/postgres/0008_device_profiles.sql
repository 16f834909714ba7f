-- Device profiles: a codec with its samples, which devices of one organization, or of all, refer to.

-- migrate:up

CREATE TABLE device_profiles (
  profile_id text PRIMARY KEY CHECK (profile_id <> ''),
  -- NULL: shared by all organizations.
  organization_id text REFERENCES organizations (id),
  name text NOT NULL DEFAULT '',
  codec_kind text NOT NULL CHECK (codec_kind IN ('cel', 'javascript', 'cayenne_lpp')),
  codec_source text NOT NULL DEFAULT '',
  -- json, not jsonb: keeps the order of the keys.
  samples json NOT NULL DEFAULT '[]' CHECK (json_typeof(samples) = 'array'),
  fields json NOT NULL DEFAULT '[]' CHECK (json_typeof(fields) = 'array'),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX device_profiles_newest ON device_profiles (organization_id, created_at DESC, profile_id DESC);

CREATE INDEX device_profiles_shared ON device_profiles (created_at DESC, profile_id DESC) WHERE organization_id IS NULL;

CREATE TRIGGER device_profiles_touch BEFORE UPDATE ON device_profiles FOR EACH ROW EXECUTE FUNCTION ponix_touch();

ALTER TABLE end_devices ADD COLUMN profile_id text REFERENCES device_profiles (profile_id);

-- For the number of devices of a profile.
CREATE INDEX end_devices_profile ON end_devices (profile_id) WHERE profile_id IS NOT NULL;

ALTER TABLE device_profiles REPLICA IDENTITY FULL;

-- Without the publication, the service cdc creates it.
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_publication WHERE pubname = 'ponix_cdc_publication' AND NOT puballtables) THEN
    ALTER PUBLICATION ponix_cdc_publication ADD TABLE device_profiles;
  END IF;
END
$$;

-- migrate:down

ALTER TABLE end_devices DROP COLUMN profile_id;
DROP TABLE device_profiles;
