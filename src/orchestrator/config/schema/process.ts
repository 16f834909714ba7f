import { z } from 'zod'
import { onFailedSchema, scheduleSchema, watchSchema } from './automation.ts'
import { envFileSchema } from './env-file.ts'
import {
  byteSize,
  choice,
  environmentSchema,
  flag,
  milliseconds,
  plainText,
  section,
  text,
  wholeNumber,
} from './fields.ts'
import { dependsOnHint, hintFor, restartHint, restartPolicies, shorthandHint, withHint } from './hints.ts'
import { addressKinds, livenessProbeSchema, readinessProbeSchema } from './probe.ts'
import { MAX_REPLICAS } from '../source/replicas.ts'
import { absent, equal, fixedText, forbid, moreThan, notEmpty, present, withRules } from './rules.ts'

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

const restartKeys = section(withHint('an object', restartHint), {
  policy: choice(restartPolicies)
    .optional()
    .describe(
      '`always`, `on_failure` (after an exit that is not a success) or `never`. Default: `always` for a service, `never` for a task',
    ),
  backoff_ms: milliseconds(0)
    .default(500)
    .describe('delay before a restart: min(`max_backoff_ms`, `backoff_ms` · 2^(attempt−1))'),
  max_backoff_ms: milliseconds(0).default(10_000).describe('upper limit of the delay'),
  jitter: z
    .number({ error: 'a number from 0 to 1' })
    .min(0, { error: 'a number from 0 to 1' })
    .max(1, { error: 'a number from 0 to 1' })
    .default(0)
    .describe('random fraction of the delay, 0 to 1'),
  reset_after_ms: milliseconds(0).default(30_000).describe('attempts count from 0 again after this uptime'),
  max_attempts: wholeNumber('a whole number', 0, 1_000_000)
    .optional()
    .describe('limit of consecutive restarts, after which the process has failed permanently. Default: no limit'),
  startup_attempts: wholeNumber('a whole number', 1, 1_000_000)
    .optional()
    .describe(
      'limit of starts in a row until the process is ready for the first time; then it has failed, and so has the start. Restarts of a process that was ready are not limited. Default: no limit',
    ),
  window_ms: milliseconds(1)
    .optional()
    .describe('`max_attempts` limits the restarts within this time instead of consecutive ones'),
})

const restartSchema = withRules(restartKeys, [
  forbid(
    { window_ms: present, max_attempts: absent },
    'window_ms',
    'has no effect without "max_attempts", the limit of restarts within this time',
  ),
])

const shutdownSchema = section(withHint('an object', shorthandHint('signal', signals)), {
  signal: choice(signals).default('SIGTERM').describe('signal that stops the process'),
  timeout_ms: milliseconds(0)
    .default(5000)
    .describe('the process is killed with SIGKILL if it still runs after this time'),
})

const logKeys = section(withHint('an object', hintFor('string', 'write {"file": "…"}')), {
  file: text('the path of a file')
    .optional()
    .describe(
      'file for the lines, without prefix; relative to the folder of the configuration, missing folders are created. Variables are interpolated: with `replicas` it needs `${PONIX_REPLICA}`',
    ),
  max_size: byteSize()
    .optional()
    .describe(
      'a number of bytes, or a size such as `"10MB"` or `"64KiB"`; a larger file is rotated to `file.1`. Default: 10 MB',
    ),
  max_files: wholeNumber('a whole number', 1, MAX_REPLICAS)
    .optional()
    .describe('rotated files to keep, `file.1` (the newest) to `file.N`. Default: 5'),
  quiet: flag()
    .default(false)
    .describe('`true`: the lines are not shown on the terminal, only in `file` and by the command `logs`'),
})

const logSchema = withRules(logKeys, [
  forbid({ max_size: present, file: absent }, 'max_size', 'has no effect without "file", whose size it limits'),
  forbid(
    { max_files: present, file: absent },
    'max_files',
    'has no effect without "file", whose rotated files it counts',
  ),
])

const conditions = ['started', 'ready', 'completed', 'completed_successfully'] as const
const dependencyForm = 'an object with a condition, such as {"condition": "ready"}'

const dependencySchema = section(withHint(dependencyForm, shorthandHint('condition', conditions)), {
  condition: choice(conditions).describe(
    '`started`, `ready` (its readiness probe succeeded), `completed` (it exited) or `completed_successfully`',
  ),
})
const profileForm = 'a name of letters, digits, "_", "-" and "."'
const dependsOnForm = 'a list of process names, or an object of name → {"condition": …}'

const commandHint = 'write the program as "command" and the rest as "args"'
const argsHint = 'write each argument as an element, such as ["-p", "80"]'
const processHint = 'write {"command": "…", "shell": true}'

const processKeys = section(withHint('an object that describes a process', hintFor('string', processHint)), {
  command: text(withHint('a program name or path', hintFor('object', commandHint))).describe(
    'program name, searched on PATH, or path; with `shell` a line for `/bin/sh -c`',
  ),
  args: z
    .array(plainText(withHint('a string', hintFor('number', 'numbers are in double quotes too'))), {
      error: withHint('a list of strings', hintFor('string', argsHint)),
    })
    .default([])
    .describe('arguments, passed without a shell'),
  shell: flag().default(false).describe('`true`: `command` is a line for `/bin/sh -c`, without `args`'),
  tty: flag()
    .default(false)
    .describe(
      '`true`: stdin, stdout and stderr of the process are a terminal of its own, so that it shows colours and progress, and `attach NAME` can type into it',
    ),
  cwd: text('a folder')
    .optional()
    .describe('working directory, relative to the folder of the file. Default: that folder'),
  env: environmentSchema.default({}).describe('environment variables of this process'),
  env_file: envFileSchema.describe(
    'file of `NAME=value` lines, or a list of files in which later files override earlier ones; `{"path": …, "required": false}` can be missing',
  ),
  depends_on: z
    .union(
      [
        z.array(text('the name of a process'), { error: dependsOnForm }),
        z.record(z.string(), dependencySchema, { error: dependsOnForm }),
      ],
      { error: withHint(dependsOnForm, dependsOnHint) },
    )
    .default([])
    .describe(
      'list of names, or an object of name → `{"condition": …}`. Default condition: `completed_successfully` for a task, `ready` for a service with a readiness probe, else `started`',
    ),
  kind: choice(['service', 'task'])
    .default('service')
    .describe('`service` runs until it is stopped; `task` runs once, and exit code 0 is success'),
  success_exit_codes: z
    .array(wholeNumber('an exit code', 0, 255), { error: 'a list of exit codes' })
    .min(1, { error: 'a list with at least one exit code' })
    .default([0])
    .describe('exit codes that mean success; 128 + N also means an end by signal N, so 143 means SIGTERM'),
  readiness_probe: readinessProbeSchema
    .optional()
    .describe('determines when the process is ready. Default: as soon as it runs'),
  liveness_probe: livenessProbeSchema
    .optional()
    .describe('restarts a ready process when this probe fails; `tcp_socket`, `http_get` or `exec`'),
  startup_timeout_ms: milliseconds(1)
    .default(120_000)
    .describe('a process that is not ready after this time fails; its last 20 lines are shown'),
  restart: restartSchema.prefault({}).describe('restarts the process after it exits without a request to stop'),
  when_failed: choice(['isolate', 'stop'])
    .default('isolate')
    .describe('after a permanent failure, `isolate` keeps the other processes running, `stop` stops everything'),
  memory_limit: byteSize()
    .optional()
    .describe(
      'only for a service: stops it in order and starts it again when the resident memory of its process group exceeds this number of bytes, or a size such as `"150MB"` or `"1GiB"`. Default: no limit',
    ),
  on_failed: onFailedSchema.describe(
    'runs when this process has failed permanently, with PONIX_PROCESS and PONIX_REASON in its environment: a line for `/bin/sh`, a program, or a webhook. Default: `on_failed` of the file',
  ),
  on_dependency_restart: choice(['ignore', 'restart'])
    .default('ignore')
    .describe('`restart`: when a dependency restarts, this process stops before it and starts after it'),
  watch: watchSchema,
  schedule: scheduleSchema,
  shutdown: shutdownSchema.prefault({}).describe('how the process is stopped'),
  replicas: wholeNumber('a whole number', 1, 1000)
    .optional()
    .describe(
      'number of instances, `name#1` … `name#N`, each with its number in `PONIX_REPLICA`. A dependency on `name` is a dependency on all of them. Default: one instance, without a number',
    ),
  log: logSchema.prefault({}).describe('writes the lines of the process to a file, or hides them on the terminal'),
  profiles: z
    .array(text(profileForm).regex(/^[\w.-]+$/, { error: profileForm }), {
      error: 'a list of profile names, such as ["dev"]',
    })
    .default([])
    .describe(
      'names of profiles: the process runs only if `--profile` or `--only` names one of them, or the process. Default: it always runs',
    ),
  disabled: flag()
    .default(false)
    .describe('`true`: the process is not started, unless `--only` names it; dependencies on it are satisfied'),
  uses: z
    .literal('mqtt_broker', { error: '"mqtt_broker"' })
    .optional()
    .describe(
      '`"mqtt_broker"`: this process starts when the broker accepts connections, and gets its address in MQTT_BROKER',
    ),
  provides: z
    .literal('mqtt_broker', { error: '"mqtt_broker"' })
    .optional()
    .describe('`"mqtt_broker"`: this process is the broker; users of the broker wait until it is ready'),
})

const replicated = { replicas: moreThan(1) }
const sameAddress = 'probes the same address for every replica'
const readinessAdvice = 'use ${PONIX_REPLICA} in the address, or exec, log_line or notify'
const livenessAdvice = 'use ${PONIX_REPLICA} in the address, or exec'
const limitAdvice = 'is not possible for a task, which would run again from its beginning'
const taskAdvice = 'needs "kind": "task": a schedule runs a task to its end, while a service runs all the time'

/** One process. */
export const processSchema = withRules(processKeys, [
  forbid(
    { shell: equal(true), args: notEmpty },
    'args',
    'cannot be combined with "shell": true; write the arguments into command',
  ),
  forbid(
    { tty: equal(true), 'readiness_probe.notify': present },
    'readiness_probe.notify',
    'cannot be combined with "tty": true, because a terminal has no further file descriptor; use tcp_socket, http_get, exec or log_line',
  ),
  forbid(
    { kind: equal('task'), 'restart.policy': equal('always') },
    'restart.policy',
    '"always" is not possible for a task, which runs once; use "on_failure" or "never"',
  ),
  forbid({ memory_limit: present, kind: equal('task') }, 'memory_limit', limitAdvice),
  ...[absent, equal('service')].map((kind) =>
    forbid(
      { 'restart.startup_attempts': present, readiness_probe: absent, kind },
      'restart.startup_attempts',
      'has no effect without "readiness_probe": a service without one is ready as soon as it runs',
    ),
  ),
  ...[absent, equal('service')].map((kind) => forbid({ schedule: present, kind }, 'schedule', taskAdvice)),
  forbid(
    { ...replicated, provides: present },
    'provides',
    'cannot be combined with "replicas": there is one broker at one address',
  ),
  ...addressKinds.flatMap((kind) => [
    forbid(
      { ...replicated, [`readiness_probe.${kind}`]: fixedText },
      'readiness_probe',
      `${sameAddress}; ${readinessAdvice}`,
    ),
    forbid(
      { ...replicated, [`liveness_probe.${kind}`]: fixedText },
      'liveness_probe',
      `${sameAddress}; ${livenessAdvice}`,
    ),
  ]),
])

export type ProcessFile = z.infer<typeof processSchema>
