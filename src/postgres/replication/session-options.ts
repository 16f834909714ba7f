/** Output that does not depend on the server's or the role's settings; PostgreSQL's own subscriber asks for the same. */
export const SESSION_OPTIONS = [
  'datestyle=ISO',
  'timezone=UTC',
  'intervalstyle=postgres',
  'extra_float_digits=3',
  'bytea_output=hex',
]
  .map((setting) => `-c ${setting}`)
  .join(' ')
