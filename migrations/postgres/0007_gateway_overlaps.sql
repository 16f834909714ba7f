-- Finds the gateways of an organization that can receive the same messages as another one, without reading all of them. The functions
-- give what such gateways have in common; src/domain/gateway-topics compares the gateways that are found.

-- migrate:up

-- Returns the host of a broker, or * if it is not written as a plain name or IPv4 address and must be compared in any case.
CREATE FUNCTION ponix_broker_host(config jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE
    WHEN length(host) > 253 OR host ~ 'xn--' THEN '*'
    -- A last label that begins with a digit can be part of an IPv4 address in another form.
    WHEN host ~ '^([a-z0-9._-]*[.])?[a-z_-][a-z0-9_-]*$' THEN host
    WHEN host ~ '^(0|[1-9][0-9]{0,2})([.](0|[1-9][0-9]{0,2})){3}$' THEN host
    ELSE '*'
  END
  FROM (
    SELECT regexp_replace(lower(COALESCE(
      substring(config ->> 'broker_url' FROM '^[Mm][Qq][Tt][Tt][Ss]?://([A-Za-z0-9._-]+)(?::[0-9]*)?/?$'),
      config ->> 'host'
    ) COLLATE "C"), '[.]$', '') AS host
  ) AS broker
$$;

-- Returns the levels of a topic filter before the first wildcard, each with a / behind it, shortened; null without a topic filter.
CREATE FUNCTION ponix_topic_prefix(organization_id text, gateway_type text, config jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT left(COALESCE(substring(filter FROM '^([^+#]*)[+#]'), filter || '/'), 200)
  FROM (
    SELECT regexp_replace(CASE lower(gateway_type COLLATE "C")
      WHEN 'mqtt' THEN COALESCE(config ->> 'topic', organization_id || '/+')
      WHEN 'emqx' THEN COALESCE(config ->> 'topic', organization_id || '/+')
      WHEN 'chirpstack' THEN 'application/' || COALESCE(config ->> 'application_id', '+') || '/device/+/event/up'
      WHEN 'ttn' THEN 'v3/' || COALESCE(config ->> 'application_id', '+') || '/devices/+/up'
    END, '^[$]share/[^+#/]+/(?=.)', '') AS filter
  ) AS subscription
$$;

CREATE INDEX gateways_overlaps ON gateways (
  organization_id,
  ponix_broker_host(gateway_config),
  (ponix_topic_prefix(organization_id, gateway_type, gateway_config) COLLATE "C")
) WHERE deleted_at IS NULL;

-- migrate:down

DROP INDEX gateways_overlaps;
DROP FUNCTION ponix_topic_prefix(text, text, jsonb);
DROP FUNCTION ponix_broker_host(jsonb);
