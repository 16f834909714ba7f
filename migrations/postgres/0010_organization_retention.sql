-- How long the rows of an organization are kept; 0 keeps them until they are purged.

-- migrate:up

ALTER TABLE organizations
  ADD COLUMN retention_days integer NOT NULL DEFAULT 0 CHECK (retention_days BETWEEN 0 AND 36500);

-- Analytics reads the organizations with a retention in this order, in pages.
CREATE INDEX organizations_retention ON organizations (retention_days, id) WHERE retention_days > 0;

-- migrate:down

ALTER TABLE organizations DROP COLUMN retention_days;
