import { z } from 'zod'

/** CPU and memory are those of the whole process group. */
const processStatus = z.object({
  name: z.string(),
  kind: z.enum(['service', 'task']),
  /** A state of supervisor/state.ts. */
  state: z.string(),
  /** The reason why it is unhealthy, failed, skipped or disabled, or why it restarts. */
  reason: z.string().nullable(),
  /** What it waits for, with the last answer of its probe, or the reason, as a sentence. Null if there is nothing to say. */
  detail: z.string().nullable(),
  pid: z.int().nullable(),
  /** True if its readiness probe succeeds, or it runs without one; for a task: if it has succeeded, or its schedule runs it. */
  ready: z.boolean(),
  /** The number of restarts after unexpected exits: not those by a command, a reload, a change of a file or a schedule. */
  restarts: z.int(),
  /** `exit_code` and `signal` are those of the last child that ended. */
  exit_code: z.int().nullable(),
  signal: z.string().nullable(),
  uptime_ms: z.int().nullable(),
  /** Percentage of one core, since the previous sample or since the start. Null if unknown. */
  cpu_percent: z.number().nullable(),
  memory_bytes: z.int().nullable(),
  /** The processes that still run although it has completed, such as a daemon that it has started. */
  left_pids: z.array(z.int()),
  depends_on: z.array(z.string()),
  /** The next time at which a task runs by its schedule, in ISO 8601. */
  next_run: z.string().nullable(),
  /** The end of the last run that succeeded, in ISO 8601. Null if there was none, or the definition has changed since. */
  last_success: z.string().nullable(),
  /** The problems of its log file. `error`: the reason why it cannot be written now. Null without a log file. */
  log_file: z.object({ error: z.string().nullable(), errors: z.int(), lost_lines: z.int() }).nullable(),
})
export type ProcessStatus = z.infer<typeof processStatus>

export const statusAnswer = z.object({
  /** The pid of the orchestrator. */
  pid: z.int(),
  config: z.string(),
  stopping: z.boolean(),
  processes: z.array(processStatus),
})
export type StatusAnswer = z.infer<typeof statusAnswer>

/** A process that is not up although the request has started it. `backoff`: it has failed and starts again. */
const startFailure = z.object({
  process: z.string(),
  state: z.enum(['failed', 'skipped', 'backoff']),
  reason: z.string(),
})
export type StartFailureAnswer = z.infer<typeof startFailure>

/** Processes that a completed one had left running. `commands`: their command lines, cut and without secrets. */
const leftProcesses = z.object({
  process: z.string(),
  pids: z.array(z.int()).readonly(),
  commands: z.array(z.string()).readonly(),
})

export const actionAnswer = statusAnswer.extend({
  failed: z.array(startFailure).readonly(),
  /** Only of `stop`: what it has ended although the process had already completed. */
  ended: z.array(leftProcesses).readonly(),
})
export type ActionAnswer = z.infer<typeof actionAnswer>

const waitOutcome = z.enum(['met', 'pending', 'never'])

/** `met`: all processes have reached the goal; `never`: at least one no longer can; `pending`: the time is over. */
export const waitAnswerSchema = z.object({
  outcome: waitOutcome,
  processes: z.array(
    z.object({
      name: z.string(),
      outcome: waitOutcome,
      /** The reason of another outcome than `met`. */
      because: z.string().nullable(),
    }),
  ),
})
export type WaitAnswer = z.infer<typeof waitAnswerSchema>

export const errorAnswer = z.object({ error: z.string() })

/** Names of processes, by the effect of the reload on them. */
export const reloadAnswer = z.object({
  added: z.array(z.string()).readonly(),
  removed: z.array(z.string()).readonly(),
  changed: z.array(z.string()).readonly(),
  unchanged: z.array(z.string()).readonly(),
  /** Changed keys of the file that take effect only when the orchestrator restarts. */
  needs_restart: z.array(z.string()).readonly(),
  /** Processes that the reload has started and that are not up. */
  failed: z.array(startFailure).readonly(),
  /** Processes that something else has stopped or changed before they were up. `because` completes `web …`. */
  superseded: z.array(z.object({ process: z.string(), because: z.string() })).readonly(),
})
export type ReloadAnswer = z.infer<typeof reloadAnswer>

/** A line of `GET /logs`. Times are in milliseconds since 1970. */
export const logEntry = z.union([
  /** A line of output. */
  z.object({
    time: z.number(),
    process: z.string(),
    pid: z.int(),
    stream: z.enum(['stdout', 'stderr']),
    line: z.string(),
  }),
  /** A message of the orchestrator: about a process, or null: about all. `event`: its fields, null if it has none. */
  z.object({
    time: z.number(),
    process: z.string().nullable(),
    level: z.enum(['info', 'warn', 'error']),
    message: z.string(),
    event: z.looseObject({ type: z.string() }).nullable(),
  }),
  /** The number of entries that a slow reader missed. */
  z.object({ dropped: z.int() }),
  /** Lines of the process up to this time were requested with `since`, and are no longer kept. */
  z.object({ process: z.string(), lost_until: z.number() }),
  /** No line has the required level: the number of lines that were left out because they have none. */
  z.object({ without_level: z.int() }),
  /** The end of a stream that cannot continue. */
  z.object({ error: z.string() }),
])
export type LogRecord = z.infer<typeof logEntry>
