import type { ResolvedConfig, ResolvedRestart } from '../config/resolved.ts'
import {
  type Export,
  type ExportedProcess,
  exportedProcesses,
  type GraphOptions,
  type Note,
  noteLines,
  notesAbout,
  timeSpan,
  type Word,
} from './exported-graph.ts'
import {
  environmentWord,
  wholeLine,
  awaitAddress,
  bridgeNotification,
  commandLine,
  needsCurl,
  readinessCommand,
} from './systemd-commands.ts'

export interface SystemdOptions extends GraphOptions {
  /** Prefix of the names of all units. */
  readonly project: string
  /** The processes run as this user; null: the user of the manager. */
  readonly user: string | null
  readonly systemdVersion: number
  /** Absolute path of a process's program; null if it is not found on this machine. */
  readonly findProgram: (process: ExportedProcess['process']) => string | null
}

/** The first version with RestartSteps=. */
const GROWING_WAIT_SINCE = 254

interface Unit {
  readonly exported: ExportedProcess
  readonly name: string
}

/** A unit for each process, and a target that wants all of them. */
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

function targetFile(units: readonly Unit[], project: string): Export['files'][number] {
  const wants = units.map(({ name }) => `Wants=${name}`)
  const lines = ['[Unit]', `Description=${project}`, ...wants, '', '[Install]', 'WantedBy=multi-user.target']
  return { name: `${project}.target`, text: `${lines.join('\n')}\n` }
}

function unitFile(
  { exported, name }: Unit,
  nameOf: ReadonlyMap<string, string>,
  config: ResolvedConfig,
  options: SystemdOptions,
): Export['files'][number] {
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

/** After= sets the order only; Requires= demands success too. */
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
  // NotifyAccess: `systemd-notify` is a child of the program.
  return isNotified ? ['Type=notify', 'NotifyAccess=all', timeout] : ['Type=exec', timeout]
}

/** systemd does not search the PATH of the process; `env` does. */
function programWords({ process, words }: ExportedProcess, { findProgram }: SystemdOptions): readonly Word[] {
  if (process.shell) return words
  const found = findProgram(process)
  const [, ...args] = words
  // systemd does not expand `$$` in the path of the program.
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
          `# Secret, so not included: ${exported.secrets.join(', ')}`,
          `EnvironmentFile=${secretFile(exported, project)}`,
        ]),
  ]
}

function secretFile({ id }: ExportedProcess, project: string): string {
  return `/etc/${project}/${id}.env`
}

/** systemd rejects other names, and control characters other than tab and newline. */
function isSettable(name: string, value: string): boolean {
  return /^[A-Za-z_]\w*$/.test(name) && !/(?![\t\n\u0080-\u009f])\p{Cc}/u.test(value)
}

function startLimit({ policy, maxAttempts, maxBackoffMs, resetAfterMs, windowMs }: ResolvedRestart): readonly string[] {
  if (policy === 'never' || !Number.isFinite(maxAttempts)) return ['StartLimitIntervalSec=0']
  // For restarts in a row: longer than all waits and uptimes of the row together.
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
  const comment = `# With systemd ${GROWING_WAIT_SINCE} or later, for a wait that doubles:`
  return [
    ...lines,
    ...(systemdVersion < GROWING_WAIT_SINCE ? [comment, ...growing.map((line) => `# ${line}`)] : growing),
  ]
}

function notesOf({ exported, name }: Unit, options: SystemdOptions): readonly Note[] {
  const { process, secrets, readiness, liveness, environment } = exported
  const unsettable = Object.entries(environment).filter(([name, value]) => !isSettable(name, value))
  return notesAbout(name, [
    secrets.length > 0 &&
      `${secrets.join(', ')}: secret, so not included; write NAME="value" lines into ${secretFile(exported, options.project)} (chmod 600)`,
    !process.shell &&
      options.findProgram(process) === null &&
      `"${process.command}" was not found on this machine; the unit searches its PATH when it starts`,
    readiness?.check.type === 'log_line' &&
      'its log_line is searched in the journal, which its user must be allowed to read (group systemd-journal)',
    readiness?.check.type === 'http_get' && needsCurl(readiness.check.url) && 'its http_get needs curl on the PATH',
    process.log.file !== null && 'the journal replaces its log.file',
    liveness !== null && 'systemd has no liveness probes: a process that hangs is not restarted',
    unsettable.length > 0 &&
      `systemd cannot set ${unsettable.map(([name]) => JSON.stringify(name)).join(', ')}: invalid name or value`,
  ])
}
