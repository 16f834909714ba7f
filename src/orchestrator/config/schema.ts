import { z } from 'zod'
import { controlSchema } from './control.ts'
import {
  choice,
  flag,
  milliseconds,
  plainText,
  section,
  statement,
  text,
  wholeNumber,
  byteSizeForm,
  parseByteSize,
} from './schema-fields.ts'
import { parseSocketAddress, socketAddressForm } from './socket-address.ts'

const namePattern = /^(?!\d+$)[A-Za-z0-9_][A-Za-z0-9_.:-]*$/
const nameForm =
  'a name of letters, digits, "_", "-", "." and ":" that begins with a letter, a digit or "_" and is no number'

const signals = [
  'SIGTERM',
  'SIGINT',
  'SIGQUIT',
  'SIGHUP',
  'SIGUSR1',
  'SIGUSR2',
  'SIGABRT',
  'SIGWINCH',
  'SIGPWR',
  'SIGKILL',
] as const

/** Variables of the environment, before interpolation. */
export const environmentSchema = z.record(
  z.string().regex(/^[^=\0]+$/, { error: 'the name of an environment variable, which is not empty and holds no "="' }),
  plainText('a string; numbers too are in double quotes here'),
  { error: 'an object of environment variables' },
)

function isHttpUrl(value: string): boolean {
  return URL.canParse(value) && /^https?:$/.test(new URL(value).protocol)
}

function isRegularExpression(value: string): boolean {
  try {
    return new RegExp(value) instanceof RegExp
  } catch {
    return false
  }
}

const probeForms = ['tcp_socket', 'http_get', 'exec', 'log_line', 'notify'] as const
const execForm = 'a list of a program and its arguments, or a line for /bin/sh -c'

const probeSchema = section('an object that says how to probe', {
  tcp_socket: text('host:port')
    .refine((value) => parseSocketAddress(value) !== null, { error: socketAddressForm })
    .optional()
    .describe('`host:port`; succeeds if a TCP connection is accepted'),
  http_get: text('a URL')
    .refine(isHttpUrl, { error: 'a URL that begins with http:// or https://' })
    .optional()
    .describe('URL; succeeds with a status of 2xx or 3xx'),
  exec: z
    .union([text(execForm), z.tuple([text('a program name or path')], plainText('a string'), { error: execForm })], {
      error: execForm,
    })
    .optional()
    .describe('program and arguments as a list, or a line for `/bin/sh -c`; succeeds with exit code 0'),
  log_line: text('a regular expression')
    .refine(isRegularExpression, { error: 'a regular expression of JavaScript' })
    .optional()
    .describe('regular expression; succeeds once a line of stdout or stderr matches'),
  notify: z
    .literal(true, { error: 'true' })
    .optional()
    .describe(
      '`true`; succeeds once the process writes a newline to the file descriptor whose number is in `NOTIFY_FD`',
    ),
  initial_delay_ms: milliseconds(0).default(0).describe('wait before the first probe'),
  period_ms: milliseconds(1)
    .optional()
    .describe('wait between two probes; if not given, 200 until the first success and 5000 after it'),
  timeout_ms: milliseconds(1).default(2000).describe('a probe that takes longer has failed'),
  success_threshold: wholeNumber('a whole number', 1, 1000)
    .default(1)
    .describe('successes in a row that make it ready'),
  failure_threshold: wholeNumber('a whole number', 1, 1000)
    .default(3)
    .describe('failures in a row that make a ready process unhealthy'),
}).refine(
  (probe) => probeForms.filter((form) => Object.hasOwn(probe, form)).length === 1,
  statement(`needs exactly one of ${probeForms.join(', ')}`, []),
)

function saysItself(probe: z.infer<typeof probeSchema> | undefined): boolean {
  return probe?.log_line !== undefined || probe?.notify !== undefined
}

function asksAnAddress(probe: z.infer<typeof probeSchema> | undefined): boolean {
  return probe?.tcp_socket !== undefined || probe?.http_get !== undefined
}

function isOneOfMany({ replicas }: { readonly replicas?: number | undefined }): boolean {
  return replicas !== undefined && replicas > 1
}

const probesOfMany = 'use exec, which has PONIX_REPLICA in its environment, log_line or notify'

const restartSchema = section('an object', {
  policy: choice(['always', 'on_failure', 'never'])
    .optional()
    .describe(
      '`always`, `on_failure` (after an exit code other than 0, or a signal) or `never`; if not given, `always` for a service and `never` for a task',
    ),
  backoff_ms: milliseconds(0)
    .default(500)
    .describe(
      'wait before the first restart; doubles with every further one: min(`max_backoff_ms`, `backoff_ms` · 2^(attempt−1))',
    ),
  max_backoff_ms: milliseconds(0).default(10_000).describe('the wait grows no further than this'),
  jitter: z
    .number({ error: 'a number from 0 to 1' })
    .min(0, { error: 'a number from 0 to 1' })
    .max(1, { error: 'a number from 0 to 1' })
    .default(0)
    .describe('fraction of the wait that is random, 0 to 1'),
  reset_after_ms: milliseconds(0).default(30_000).describe('after this long up, attempts are counted from 0 again'),
  max_attempts: wholeNumber('a whole number', 0, 1_000_000)
    .optional()
    .describe('restarts in a row after which the process has failed for good; if not given, there is no limit'),
  window_ms: milliseconds(1)
    .optional()
    .describe('`max_attempts` counts the restarts within this time instead of those in a row'),
}).refine((restart) => restart.window_ms === undefined || restart.max_attempts !== undefined, {
  ...statement('has no meaning without "max_attempts", the number of restarts that it bounds', ['window_ms']),
})

const shutdownSchema = section('an object', {
  signal: choice(signals).default('SIGTERM').describe('signal that asks the process to end'),
  timeout_ms: milliseconds(0).default(5000).describe('if it still runs after this long it gets SIGKILL'),
})

const logSchema = section('an object', {
  file: text('the path of a file')
    .optional()
    .describe(
      'the lines go to this file too, as they are, without prefix; relative to the folder of the configuration, folders are made. Names are interpolated: with `replicas` it needs `${PONIX_REPLICA}`',
    ),
  max_size: z
    .union([wholeNumber(byteSizeForm, 1, Number.MAX_SAFE_INTEGER), text(byteSizeForm)], { error: byteSizeForm })
    .refine((size) => parseByteSize(size) !== null, { error: byteSizeForm })
    .optional()
    .describe(
      'bytes, or such as `"10MB"`, `"64KiB"`: a file that would grow larger becomes `file.1`; if not given, 10 MB',
    ),
  max_files: wholeNumber('a whole number', 1, 1000)
    .optional()
    .describe('old files that are kept, `file.1` (the newest) to `file.N`; if not given, 5'),
  quiet: flag().default(false).describe('`true`: nothing of it on the terminal; `file` and the command `logs` have it'),
})
  .refine((log) => log.file !== undefined || log.max_size === undefined, {
    ...statement('has no meaning without "file", which it bounds', ['max_size']),
  })
  .refine((log) => log.file !== undefined || log.max_files === undefined, {
    ...statement('has no meaning without "file", whose old ones it counts', ['max_files']),
  })

const dependencySchema = section('an object with a condition, such as {"condition": "ready"}', {
  condition: choice(['started', 'ready', 'completed', 'completed_successfully']).describe(
    '`started`, `ready` (its readiness probe succeeded), `completed` (it ended, however) or `completed_successfully`',
  ),
})
const dependsOnForm = 'a list of process names, or an object of name → {"condition": …}'

/** One process as the file has it, with the defaults filled in. */
export const processSchema = section('an object that describes a process', {
  command: text('a program name or path').describe(
    'program name, looked for on PATH, or path; with `shell` a line for `/bin/sh -c`',
  ),
  args: z
    .array(plainText('a string'), { error: 'a list of strings' })
    .default([])
    .describe('arguments, passed as they are: no shell looks at them'),
  shell: flag().default(false).describe('`true`: `command` is a line for `/bin/sh -c`; there are no `args` then'),
  cwd: text('a folder')
    .optional()
    .describe('working directory, relative to the folder of the file; if not given, that folder'),
  env: environmentSchema.default({}).describe('environment variables of this process'),
  env_file: z
    .union([text('a path'), z.array(text('a path'), { error: 'a path, or a list of paths' })], {
      error: 'a path, or a list of paths',
    })
    .optional()
    .describe('file of `NAME=value` lines, or a list of such files, later ones winning; `env` wins over them'),
  depends_on: z
    .union(
      [
        z.array(text('the name of a process'), { error: dependsOnForm }),
        z.record(z.string(), dependencySchema, { error: dependsOnForm }),
      ],
      { error: dependsOnForm },
    )
    .default([])
    .describe(
      'list of names, or an object of name → `{"condition": …}`. In a list the dependency decides: `completed_successfully` for a task, `ready` if it has a readiness probe, else `started`',
    ),
  kind: choice(['service', 'task'])
    .default('service')
    .describe('`service` runs until it is stopped; `task` runs to its end once, and exit code 0 is success'),
  readiness_probe: probeSchema
    .optional()
    .describe('tells when the process is ready; without it, it is as soon as it runs'),
  liveness_probe: probeSchema
    .optional()
    .describe(
      'a process that fails this is stopped and started again; `tcp_socket`, `http_get` or `exec`, with `failure_threshold` as below. It is asked once the process is ready',
    ),
  startup_timeout_ms: milliseconds(1)
    .default(120_000)
    .describe('a process that is not ready after this long has failed; its last 20 lines are shown'),
  restart: restartSchema.prefault({}).describe('what happens when the process ends by itself'),
  when_failed: choice(['isolate', 'stop'])
    .default('isolate')
    .describe(
      'when the process has failed for good: `isolate` lets the others go on, `stop` stops everything, in order',
    ),
  on_dependency_restart: choice(['ignore', 'restart'])
    .default('ignore')
    .describe('`restart`: whenever something it depends on is started again, it goes down before that and up after it'),
  shutdown: shutdownSchema.prefault({}).describe('how the process is stopped'),
  replicas: wholeNumber('a whole number', 1, 1000)
    .optional()
    .describe(
      'this many instances, `name#1` … `name#N`, each with its number in `PONIX_REPLICA`; a dependency on `name` is one on all of them. If not given, one, without a number',
    ),
  log: logSchema.prefault({}).describe('where its lines go, beside the output of the orchestrator'),
  provides: z
    .literal('mqtt_broker', { error: '"mqtt_broker"' })
    .optional()
    .describe(
      '`"mqtt_broker"`: this process is the broker at `mqtt_broker`; whoever uses the broker waits until it is ready',
    ),
  disabled: flag()
    .default(false)
    .describe('`true`: not started, unless `--only` names it; dependents treat it as satisfied'),
})
  .refine((process) => !process.shell || !(process.args?.length > 0), {
    ...statement('has no place beside "shell": true; write the arguments into command', ['args']),
  })
  .refine((process) => !saysItself(process.liveness_probe), {
    ...statement('takes tcp_socket, http_get or exec: a log line or a notification is said once and never fails', [
      'liveness_probe',
    ]),
  })
  .refine((process) => process.kind !== 'task' || process.restart?.policy !== 'always', {
    ...statement('"always" has no place in a task, which runs to its end once; use "on_failure" or "never"', [
      'restart',
      'policy',
    ]),
  })

  .refine((process) => !isOneOfMany(process) || process.provides === undefined, {
    ...statement('has no place beside "replicas": there is one broker at one address', ['provides']),
  })
  .refine((process) => !isOneOfMany(process) || !asksAnAddress(process.readiness_probe), {
    ...statement(`asks the same address for every instance; ${probesOfMany}`, ['readiness_probe']),
  })
  .refine((process) => !isOneOfMany(process) || !asksAnAddress(process.liveness_probe), {
    ...statement('asks the same address for every instance; use exec, which has PONIX_REPLICA in its environment', [
      'liveness_probe',
    ]),
  })

/** The whole file. */
export const configSchema = section('an object with the key "processes"', {
  $schema: z
    .string({ error: 'a URL or path of a JSON Schema' })
    .optional()
    .describe('path of `commonplace.schema.json`, for editors'),
  mqtt_broker: text('host:port')
    .refine((value) => value.includes('${') || parseSocketAddress(value) !== null, { error: socketAddressForm })
    .default('localhost:1883')
    .describe('address of the MQTT broker, `host:port`. Names are interpolated'),
  env: environmentSchema.default({}).describe('environment variables of every process'),
  control: controlSchema,
  processes: z
    .record(z.string().regex(namePattern, { error: nameForm }), processSchema, {
      error: 'an object of name → process',
    })
    .refine((processes) => Object.keys(processes).length > 0, {
      error: 'is empty; expected at least one process, such as {"store": {"command": "my-store"}}',
      params: { statement: true },
    })
    .describe('what to run, by name'),
})

/** The file after validation: defaults filled in, nothing interpolated. */
export type ConfigFile = z.infer<typeof configSchema>
export type ProcessFile = z.infer<typeof processSchema>
export type ProbeFile = z.infer<typeof probeSchema>
