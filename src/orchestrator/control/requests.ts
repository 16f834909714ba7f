import { z } from 'zod'
import { MAX_REPLICAS } from '../config/source/replicas.ts'

// The schemas of the answers are separate in protocol.ts, because only the commands load them.

/** The header with the configuration file that the client expects: an absolute path, encoded as a URI component. */
export const CONFIG_HEADER = 'ponix-config'

export const namesRequest = z.strictObject({
  processes: z.array(z.string()).min(1),
  /** Only for `start`. */
  with_dependencies: z.boolean().optional(),
})

/** The numbers of instances, by the names of the processes in the file. */
export const scaleRequest = z.strictObject({
  replicas: z
    .record(z.string(), z.int().min(1).max(MAX_REPLICAS))
    .refine((replicas) => Object.keys(replicas).length > 0),
})
