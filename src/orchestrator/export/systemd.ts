import type { ResolvedConfig, ResolvedRestart } from '../config/resolved.ts'
import {
  type Export,
  type ExportedFile,
  type ExportedProcess,
  exportedProcesses,
  type GraphOptions,
  type Note,
  noteLines,
  notesAbout,
  type Word,
} from './exported-graph.ts'
import {
  environmentWord,
  timeSpan,
  wholeLine,
  awaitAddress,
  bridgeNotification,
  commandLine,
  needsCurl,
  readinessCommand,
} from './systemd-commands.ts'

export interface SystemdOptions extends GraphOptions {
  /** Begins the names of all units. */
  readonly project: string
  /** Who the processes run as; null: root, or whoever's manager reads the units. */
  readonly user: string | null
  /** The version the units are for: an exponential wait before restarts is known from 254 on. */
  readonly systemdVersion: number
  /** Absolute path of a process's program; null if it is not found here. */
  readonly findProgram: (process: ExportedProcess['process']) => string | null
}

/** From here on the manager's wait grows from one restart to the next. */
const growingWaitSince = 254

interface Unit {
  readonly exported: ExportedProcess
  readonly name: string
}

/** A unit for each process, and a target that holds them together (O-10). Pure. */
export function exportSystemd(config: ResolvedConfig, options: SystemdOptions): Export {
  const units = exportedProcesses(config, options).map((exported) => ({
    exported,
    name: `${options.project}-${exported.id}.service`,
  }))
  const nameOf = new Map(units.map(({ exported, name }) => [exported.process.name, name]))
  const files = units.map((unit) => unitFile(unit, nameOf, config, options))
  return {
    files: [targetFile(units, options.project), ...files],
    notes: noteLines(units.flatMap((unit) => notesOf(unit, options))),
  }
}

function targetFile(units: readonly Unit[], project: string): ExportedFile {
  const wants = units.map(({ name }) => `Wants=${name}`)
  const lines = ['[Unit]', `Description=${project}`, ...wants, '', '[Install]', 'WantedBy=multi-user.target']
  return { name: `${project}.target`, text: `${lines.join('\n')}\n` }
}

function unitFile(
  { exported, name }: Unit,
  nameOf: ReadonlyMap<string, string>,
  config: ResolvedConfig,
  options: SystemdOptions,
): ExportedFile {
  const { process } = exported
  const sections = [
    ['[Unit]', `Description=${wholeLine(process.name)}`, `PartOf=${options.project}.target`, 'After=network.target'],
    orderLines(exported, nameOf),
    startLimit(process.restart),
    ['', '[Service]'],
    commandLines(exported, config, options),
    options.user === null ? [] : [`User=${options.user}`],
    [`WorkingDirectory=${wholeLine(process.cwd)}`],
    environmentLines(exported, options.project),
    restartLines(process.restart, options.systemdVersion),
    [`KillSignal=${process.shutdown.signal}`, `TimeoutStopSec=${timeSpan(process.shutdown.timeoutMs)}`],
  ]
  return { name, text: `${sections.flat().join('\n')}\n` }
}

/** After= alone says in which order; who needs success, not only an end, says so with Requires=. */
function orderLines({ process }: ExportedProcess, nameOf: ReadonlyMap<string, string>): readonly string[] {
  return process.dependsOn.flatMap(({ name, condition }) => {
    const unit = nameOf.get(name)
    if (unit === undefined) return []
    return [`After=${unit}`, `${condition === 'completed' ? 'Wants' : 'Requires'}=${unit}`]
  })
}

function commandLines(exported: ExportedProcess, config: ResolvedConfig, options: SystemdOptions): readonly string[] {
  const { process, readiness } = exported
  const { external } = config
  const isNotified = readiness?.check.type === 'notify'
  const words = programWords(exported, options)
  const after = readiness === null ? null : readinessCommand(readiness)
  const waitsForBroker = process.usesExternal && external.providedBy === null
  return [
    ...typeLines(exported, isNotified),
    ...(waitsForBroker ? [`ExecStartPre=${awaitAddress(external.host, external.port)}`] : []),
    `ExecStart=${commandLine(isNotified ? bridgeNotification(words) : words)}`,
    ...(after === null ? [] : [`ExecStartPost=${after}`]),
  ]
}

function typeLines({ process }: ExportedProcess, isNotified: boolean): readonly string[] {
  if (process.kind === 'task') return ['Type=oneshot', 'RemainAfterExit=yes']
  const timeout = `TimeoutStartSec=${timeSpan(process.startupTimeoutMs)}`
  // `systemd-notify` is a child of the program, not the program itself.
  return isNotified ? ['Type=notify', 'NotifyAccess=all', timeout] : ['Type=exec', timeout]
}

/** systemd looks for programs in folders of its own, not on the process's PATH: `env` does the latter. */
function programWords({ process, words }: ExportedProcess, { findProgram }: SystemdOptions): readonly Word[] {
  if (process.shell) return words
  const found = findProgram(process)
  const [, ...args] = words
  // A dollar in the path would mean a variable in its name, and none in its file.
  if (found !== null && !found.includes('$')) return [{ text: found }, ...args]
  return [{ text: '/usr/bin/env' }, { text: '--' }, ...words]
}

function environmentLines(exported: ExportedProcess, project: string): readonly string[] {
  const { PATH } = exported.process.env
  const variables = { ...(PATH === undefined ? {} : { PATH }), ...exported.environment }
  const settable = Object.entries(variables).filter(([name, value]) => isSettable(name, value))
  return [
    ...settable.map(([name, value]) => `Environment=${environmentWord(name, value)}`),
    ...(exported.secrets.length === 0
      ? []
      : [
          `# Secret, so not in here: ${exported.secrets.join(', ')}`,
          `EnvironmentFile=${secretFile(exported, project)}`,
        ]),
  ]
}

function secretFile({ id }: ExportedProcess, project: string): string {
  return `/etc/${project}/${id}.env`
}

/** systemd refuses other names, and control characters other than tab and newline. */
function isSettable(name: string, value: string): boolean {
  return /^[A-Za-z_]\w*$/.test(name) && !/(?![\t\n\u0080-\u009f])\p{Cc}/u.test(value)
}

function startLimit({ policy, maxAttempts, maxBackoffMs, resetAfterMs, windowMs }: ResolvedRestart): readonly string[] {
  if (policy === 'never' || !Number.isFinite(maxAttempts)) return ['StartLimitIntervalSec=0']
  // In a row: no start of the row is longer ago than all its waits and lives together.
  const interval = windowMs ?? (maxAttempts + 1) * (maxBackoffMs + resetAfterMs)
  return [`StartLimitIntervalSec=${timeSpan(interval)}`, `StartLimitBurst=${maxAttempts + 1}`]
}

const policies = { always: 'always', on_failure: 'on-failure', never: 'no' } as const

function restartLines(restart: ResolvedRestart, systemdVersion: number): readonly string[] {
  const { policy, backoffMs, maxBackoffMs } = restart
  if (policy === 'never') return ['Restart=no']
  const first = Math.min(backoffMs, maxBackoffMs)
  const lines = [`Restart=${policies[policy]}`, `RestartSec=${timeSpan(first)}`]
  const steps = first === 0 ? 0 : Math.ceil(Math.log2(maxBackoffMs / first))
  if (steps === 0) return lines
  const growing = [`RestartSteps=${steps}`, `RestartMaxDelaySec=${timeSpan(maxBackoffMs)}`]
  const comment = `# With systemd ${growingWaitSince} or later, for a wait that doubles:`
  return [...lines, ...(systemdVersion < growingWaitSince ? [comment, ...growing.map((line) => `# ${line}`)] : growing)]
}

function notesOf({ exported, name }: Unit, options: SystemdOptions): readonly Note[] {
  const { process, secrets, readiness, liveness, environment } = exported
  const unsettable = Object.entries(environment).filter(([name, value]) => !isSettable(name, value))
  return notesAbout(name, [
    secrets.length > 0 &&
      `${secrets.join(', ')}: secret, so not in the unit; write NAME="value" lines into ${secretFile(exported, options.project)} (chmod 600)`,
    !process.shell &&
      options.findProgram(process) === null &&
      `"${process.command}" was not found here; the unit looks for it on the PATH it has when it starts`,
    readiness?.check.type === 'log_line' &&
      'its log_line is looked for in the journal, which its user must be allowed to read (group systemd-journal)',
    readiness?.check.type === 'http_get' && needsCurl(readiness.check.url) && 'its http_get needs curl on the PATH',
    process.log.file !== null && 'the journal takes the place of its log.file',
    liveness !== null && 'systemd has no liveness probes: a process that hangs is not restarted',
    unsettable.length > 0 &&
      `systemd cannot set ${unsettable.map(([name]) => JSON.stringify(name)).join(', ')}: a name or value it refuses`,
  ])
}
