import { z } from 'zod'

/** One process as `status --json` shows it (O-9, O-41). The figures are those of its whole group. */
const processStatus = z.object({
  name: z.string(),
  /** A state of the machine in state.ts. */
  state: z.string(),
  /** Why it is unhealthy, failed or skipped. */
  reason: z.string().nullable(),
  pid: z.int().nullable(),
  /** It counts as ready: its probe says so, or it has none and runs; a task, when it has succeeded. */
  ready: z.boolean(),
  /** Starts after the first one. */
  restarts: z.int(),
  /** Of the last child that ended. */
  exit_code: z.int().nullable(),
  signal: z.string().nullable(),
  uptime_ms: z.int().nullable(),
  /** Of one core, since the last look, or since its start. Null where it is not known. */
  cpu_percent: z.number().nullable(),
  memory_bytes: z.int().nullable(),
  depends_on: z.array(z.string()),
})

export const statusAnswer = z.object({
  /** The orchestrator's own. */
  pid: z.int(),
  config: z.string(),
  stopping: z.boolean(),
  processes: z.array(processStatus),
})

export type ProcessStatus = z.infer<typeof processStatus>
export type StatusAnswer = z.infer<typeof statusAnswer>

export const namesRequest = z.strictObject({ processes: z.array(z.string()).min(1) })

/** A client says in this header which file it means; a path, encoded as a component of a URL. */
export const CONFIG_HEADER = 'ponix-config'

export const errorAnswer = z.object({ error: z.string() })

/** What a reload has changed, by name. */
export const reloadAnswer = z.object({
  added: z.array(z.string()).readonly(),
  removed: z.array(z.string()).readonly(),
  changed: z.array(z.string()).readonly(),
  unchanged: z.array(z.string()).readonly(),
  /** Keys of the file that have changed and are in force only once the orchestrator is started again. */
  needs_restart: z.array(z.string()).readonly(),
})
export type ReloadAnswer = z.infer<typeof reloadAnswer>

/** A line of `GET /logs`; or how many were left out, because the reader was too slow. */
export const logEntry = z.union([
  z.object({
    time: z.number(),
    process: z.string(),
    stream: z.enum(['stdout', 'stderr']),
    line: z.string(),
  }),
  z.object({ dropped: z.int() }),
])
