import type { LoadedConfig } from '../config/load.ts'
import { separateBroker } from '../config/resolve/broker.ts'
import type { ResolvedConfig } from '../config/resolved.ts'
import { findProgram } from '../supervisor/child/program.ts'
import {
  copiedNote,
  envFileLayers,
  type Export,
  type ExportedProcess,
  exportedProcesses,
  type Note,
  noteLines,
  notesAbout,
  PROFILES_NOTE,
  replicasNote,
  secretGroups,
  timeSpan,
  STARTUP_ATTEMPTS_NOTE,
  WATCH_NOTE,
  withheldNote,
  type Word,
} from './exported-graph.ts'
import { replicaNumber } from './replicas.ts'
import {
  wholeLine,
  awaitAddress,
  bridgeNotification,
  commandLine,
  needsCurl,
  readinessCommand,
} from './systemd-commands.ts'
import { environmentLines, isSettable, overridingVariables, secretFile } from './systemd-environment.ts'
import { restartLines, startLimit, successLines } from './systemd-restart.ts'
import { timerUnit } from './systemd-timer.ts'

export interface SystemdOptions {
  /** Prefix of the names of all units. */
  readonly project: string
  /** The user of the processes; null means the user of the manager, which is root for units in /etc/systemd/system. */
  readonly user: string | null
  readonly systemdVersion: number
}

/** Renders a unit for each process, and a target that wants all of them. */
export function exportSystemd(config: LoadedConfig, options: SystemdOptions): Export {
  const { project } = options
  const processes = exportedProcesses(config, { setsNumber: true })
  const unitOf = new Map(processes.flatMap((exported) => instanceUnits(exported, project)))
  const files = processes.map((exported) => unitFile(exported, unitOf, config, options))
  const timers = processes.flatMap((exported) => timerFile(exported, project))
  const wanted = processes.flatMap((exported) =>
    exported.schedule === null
      ? instanceUnits(exported, project).map(([, unit]) => unit)
      : [timerName(exported, project)],
  )
  return {
    files: [targetFile(wanted, project), ...files, ...timers],
    notes: noteLines([...userNote(options), ...processes.flatMap((exported) => notesOf(exported, project))]),
  }
}

function userNote({ user }: SystemdOptions): readonly Note[] {
  const text = 'no unit has User=, so the processes run as root; choose a user without its rights with --user NAME'
  return notesAbout(null, [user === null && text])
}

/** Returns the name of the unit's file: that of a template for equal replicas. */
function unitName(exported: ExportedProcess, project: string): string {
  return `${project}-${exported.id}${isTemplate(exported) ? '@' : ''}.service`
}

function isTemplate({ instances }: ExportedProcess): boolean {
  return instances.length > 1
}

/** Returns the names of the processes, each with the name of its unit; the instance of a template is the number of the replica. */
function instanceUnits(exported: ExportedProcess, project: string): readonly (readonly [string, string])[] {
  return exported.instances.map((instance) => {
    const unit = isTemplate(exported)
      ? `${project}-${exported.id}@${replicaNumber(instance)}.service`
      : unitName(exported, project)
    return [instance, unit]
  })
}

function timerName({ id }: ExportedProcess, project: string): string {
  return `${project}-${id}.timer`
}

function timerFile(exported: ExportedProcess, project: string): Export['files'] {
  const { definition, schedule } = exported
  if (schedule === null) return []
  return [{ name: timerName(exported, project), text: timerUnit(wholeLine(definition.name), project, schedule) }]
}

function targetFile(units: readonly string[], project: string): Export['files'][number] {
  const wants = units.map((name) => `Wants=${name}`)
  const lines = ['[Unit]', `Description=${project}`, ...wants, '', '[Install]', 'WantedBy=multi-user.target']
  return { name: `${project}.target`, text: `${lines.join('\n')}\n` }
}

function unitFile(
  exported: ExportedProcess,
  unitOf: ReadonlyMap<string, string>,
  config: ResolvedConfig,
  options: SystemdOptions,
): Export['files'][number] {
  const { definition } = exported
  const sections = [
    [
      '[Unit]',
      `Description=${wholeLine(exported.title)}${isTemplate(exported) ? '#%i' : ''}`,
      `PartOf=${options.project}.target`,
      'After=network.target',
    ],
    orderLines(exported, unitOf),
    startLimit(definition.restart),
    ['', '[Service]'],
    commandLines(exported, config),
    options.user === null ? [] : [`User=${options.user}`],
    [`WorkingDirectory=${wholeLine(definition.cwd)}`],
    environmentLines(exported, config, options.project),
    restartLines(definition.restart, options.systemdVersion),
    definition.memoryLimit === null ? [] : [`MemoryMax=${definition.memoryLimit}`],
    successLines(definition),
    [`KillSignal=${definition.shutdown.signal}`, `TimeoutStopSec=${timeSpan(definition.shutdown.timeoutMs)}`],
  ]
  return { name: unitName(exported, options.project), text: `${sections.flat().join('\n')}\n` }
}

/** Renders the order: After= sets only the order; Requires= also requires success. */
function orderLines({ definition }: ExportedProcess, unitOf: ReadonlyMap<string, string>): readonly string[] {
  return definition.dependsOn.flatMap(({ name, condition }) => {
    const unit = unitOf.get(name)
    if (unit === undefined) return []
    return [`After=${unit}`, `${condition === 'completed' ? 'Wants' : 'Requires'}=${unit}`]
  })
}

function commandLines(exported: ExportedProcess, config: ResolvedConfig): readonly string[] {
  const { definition, readiness } = exported
  const isNotified = readiness?.check.type === 'notify'
  const words = programWords(exported)
  const after = readiness === null ? null : readinessCommand(readiness, withOverrides(exported))
  const broker = separateBroker(definition, config.external)
  return [
    ...typeLines(exported, isNotified),
    ...(broker === null ? [] : [`ExecStartPre=${awaitAddress(broker.host, broker.port)}`]),
    `ExecStart=${commandLine(isNotified ? bridgeNotification(words) : words)}`,
    ...(after === null ? [] : [`ExecStartPost=${after}`]),
  ]
}

function typeLines({ definition }: ExportedProcess, isNotified: boolean): readonly string[] {
  if (definition.kind === 'task') {
    // A unit that remains active would not be started again by its timer.
    return definition.schedule === null ? ['Type=oneshot', 'RemainAfterExit=yes'] : ['Type=oneshot']
  }
  const timeout = `TimeoutStartSec=${timeSpan(definition.startupTimeoutMs)}`
  // NotifyAccess: `systemd-notify` is a child of the program.
  return isNotified ? ['Type=notify', 'NotifyAccess=all', timeout] : ['Type=exec', timeout]
}

/** Returns the words of a command; uses `env` if it must be searched, because systemd does not search the PATH of the process. */
function programWords(exported: ExportedProcess): readonly Word[] {
  const { definition, words } = exported
  const overrides = withOverrides(exported)
  if (definition.shell) return [...overrides, ...words]
  const found = findProgram(definition)
  const [, ...args] = words
  // systemd does not expand `$$` in the path of the program.
  if (found !== null && !found.includes('$')) return [...overrides, { text: found }, ...args]
  return [...(overrides.length === 0 ? envCommand : overrides), ...words]
}

const envCommand: readonly Word[] = [{ text: '/usr/bin/env' }, { text: '--' }]

/** Returns the beginning of a command that sets the variables that override an `env_file`; empty if there are none. */
function withOverrides(exported: ExportedProcess): readonly Word[] {
  const overrides = overridingVariables(exported).map(([name, value]) => ({ text: `${name}=${value}` }))
  return overrides.length === 0 ? [] : [...envCommand, ...overrides]
}

function notesOf(exported: ExportedProcess, project: string): readonly Note[] {
  const { definition, readiness, liveness, environment } = exported
  const unsettable = Object.entries(environment).filter(([name, value]) => !isSettable(name, value))
  return notesAbout(unitName(exported, project), [
    ...secretGroups(exported).map(
      ({ id, names }) =>
        `${names.join(', ')}: secret, so not included; write NAME="value" lines into ${secretFile(id, project)} (chmod 600)`,
    ),
    ...envFileLayers(exported).map(
      ({ path }) =>
        `its unit reads ${path} itself; for systemd a line is NAME=value without "export", and "#" is a comment only at the beginning of a line`,
    ),
    withheldNote(exported),
    copiedNote(exported),
    replicasNote(exported),
    !definition.shell &&
      findProgram(definition) === null &&
      `"${definition.command}" was not found on this machine; the unit searches its PATH when it starts`,
    readiness?.check.type === 'log_line' &&
      'its log_line is searched in the journal, which its user must be allowed to read (group systemd-journal)',
    readiness?.check.type === 'http_get' && needsCurl(readiness.check.url) && 'its http_get needs curl on PATH',
    definition.tty && 'a unit has no terminal: its output has no colours, and it cannot be typed into',
    definition.log.file !== null && 'the journal replaces its log.file',
    definition.watch !== null && WATCH_NOTE,
    definition.profiles.length > 0 && PROFILES_NOTE,
    definition.onFailed !== null &&
      'its on_failed is not included; write a unit that runs it, and name that unit in OnFailure= of [Unit]',
    Number.isFinite(definition.restart.startupAttempts) && STARTUP_ATTEMPTS_NOTE,
    !definition.successExitCodes.includes(0) && 'for systemd, exit code 0 is always a success',
    liveness !== null && 'systemd has no liveness probes: a process that hangs is not restarted',
    unsettable.length > 0 &&
      `systemd cannot set ${unsettable.map(([name]) => JSON.stringify(name)).join(', ')}: invalid name or value`,
  ])
}
