import type { z } from 'zod'

/**
 * Parses the environment with one zod schema whose keys are variable names (`PONIX_NATS_URL`). All errors at once, each with
 * the variable's name, what was given (never of a secret) and what was expected, on stderr, exit code 2. With `--print-config`
 * among the arguments prints what is in force, secrets masked, and exits 0.
 */
export function parseEnvironment<S extends z.ZodObject>(_service: string, _schema: S): z.infer<S> {
  throw new Error('to be built')
}
