import { closeSync } from 'node:fs'
import type { Server } from 'node:http'
import { resolve } from 'node:path'
import type { Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { messageOf } from '../config/errors.ts'
import { ConfigLoader } from '../config/config-loader.ts'
import { DEFAULT_FILE, nearestFile } from '../config/source/nearest-file.ts'
import type { ResolvedHttp } from '../config/resolved.ts'
import { formatSocketAddress } from '../config/socket-address.ts'
import { ControlTarget } from '../control/target.ts'
import type { StopReason, SupervisorEvent } from '../supervisor/events.ts'
import { runFolder } from '../supervisor/guard/run-folder.ts'
import type { StopPlan } from '../supervisor/guard/stop-plan.ts'
import { RunLock } from '../supervisor/guard/run-lock.ts'
import { LogHistory } from '../supervisor/output/log-history.ts'
import { LogStream, openLogFile } from '../supervisor/output/log-stream.ts'
import { Prefixes } from '../supervisor/output/prefixes.ts'
import { Supervisor } from '../supervisor/supervisor.ts'
import { sleep } from '../supervisor/timers.ts'
import { Triggers } from '../triggers/triggers.ts'
import { describeNeededRestart, describeReloadFailures, renderStatus } from './remote/control-commands.ts'
import { GroupWitness } from './terminal/group-witness.ts'
import type { Keyboard } from './terminal/keyboard.ts'
import { countForwarders, isInShellOfNpm, watchParent } from './terminal/launcher.ts'
import { columnsOf, type FileOptions, type RunOptions, showsColour, toLoadOptions } from './options.ts'
import { exitOnOutputError } from './output-error.ts'
import { createReporter } from './reporter.ts'
import { handleSignals } from './terminal/signals.ts'
import { SystemdNotifier } from './systemd-notify.ts'

/** The maximum wait for the end of the processes after a kill. */
const KILL_TIMEOUT_MS = 2000
/** The maximum wait for a reader of the last lines. */
const FLUSH_TIMEOUT_MS = 1000

/** Supervises until all processes have ended or were stopped, then exits with the exit code. */
export async function run(typed: FileOptions, options: RunOptions): Promise<never> {
  if (options.isDetached) (await import('./background.ts')).closeInheritedDescriptors()
  const loader = new ConfigLoader(toLoadOptions(typed, options))
  const config = loader.load()
  const { env: environment, pid } = process
  // Supervision continues without a reader.
  process.stdout.off('error', exitOnOutputError)
  const log = options.logFile === null ? null : openLog(options.logFile, (event) => onEvent(event))
  const { stdout, stderr } = log === null ? process : { stdout: log, stderr: log }
  const colour = {
    stdout: log === null && showsColour(process.stdout),
    stderr: log === null && showsColour(process.stderr),
  }
  const prefixes = new Prefixes({ ...options.prefix, columns: log === null ? columnsOf(process.stdout) : null })
  prefixes.setProcesses(config.processes)
  const history = new LogHistory()
  const reporter = await createReporter({
    output: stderr,
    logFormat: options.logFormat,
    colour: colour.stderr,
    prefixes,
    onMessage: (message) => history.pushMessage(message),
  })
  if (typed.config !== DEFAULT_FILE && typed.config === nearestFile()) reporter.info(`runs ${typed.config}`)
  const folder = runFolder(config.path, environment)
  const socketPath = config.control === null ? null : (config.control.socketPath ?? folder.socketPath)
  const guard = await RunLock.acquire({
    folder,
    configPath: config.path,
    socketPath,
    guardProgram: fileURLToPath(new URL('./guard.js', import.meta.url)),
    warn: reporter.warn,
  })
  const systemd = new SystemdNotifier({
    environment,
    pid,
    processes: () =>
      supervisor.graph.all.flatMap(({ definition, state }) => (state.type === 'disabled' ? [] : [definition])),
    warn: reporter.warn,
  })
  const onEvent = (event: SupervisorEvent) => {
    reporter.event(event)
    systemd.event(event)
    triggers.event(event)
  }
  // The guard also ends what triggers run, which the supervisor leaves alone.
  const guarded = {
    runTag: `${guard.runTag}/run`,
    protect: (makePlan: () => StopPlan) => guard.protect(() => ({ ...makePlan(), runTag: guard.runTag })),
  }
  const output = { stdout, stderr }
  const supervisor = new Supervisor(config, { ...options, guard: guarded, output, colour, prefixes, history, onEvent })
  const triggers = new Triggers(supervisor, { emit: onEvent, runTag: guard.runTag })
  const target = new ControlTarget(supervisor, {
    load: () => loader.load(),
    scale: (replicas) => loader.scale(replicas),
    control: config.control,
    nextRun: (name) => triggers.nextRun(name),
    onReload: systemd.reloading,
    onApplied: () => systemd.reloaded(null),
    // The changes themselves are reported by an event.
    onReloaded: (answer, problem) => {
      if (problem !== null) systemd.reloaded(problem)
      if (problem !== null) reporter.warn(`reload rejected: ${problem}`)
      if (answer !== null && answer.needs_restart.length > 0) reporter.warn(describeNeededRestart(answer))
      const failures = answer === null ? null : describeReloadFailures(answer)
      if (failures !== null) reporter.warn(failures)
    },
  })
  const http = await listenHttp(target, config.control?.http ?? null, onEvent).catch(async (error: unknown) => {
    await guard.release()
    throw error
  })
  const actions = {
    stop: (reason: StopReason) => supervisor.stop(reason),
    kill: () => supervisor.kill(),
    reload: () => void target.reload().catch(() => undefined),
  }
  const forwarders = countForwarders(pid)
  const witness = forwarders === 0 ? null : new GroupWitness()
  const signals = handleSignals(actions, {
    terminal: [process.stdin, process.stdout, process.stderr].some((stream) => stream.isTTY),
    forwarders,
    groupReceived: async (signal) => witness !== null && witness.hasSeen(signal),
  })
  if (isInShellOfNpm({ pid, environment })) watchParent(() => actions.stop({ type: 'signal', signal: 'SIGTERM' }))
  // An internal error must not leave orphans.
  process.on('uncaughtExceptionMonitor', () => supervisor.kill())
  const hasKeys = options.keys && options.logFormat === 'text' && options.logFile === null
  const keyboard = hasKeys ? openKeyboard(target, guard) : Promise.resolve(null)
  const ended = supervisor.run()
  triggers.start()
  const socket = listenSocket(target, socketPath, reporter.warn)
  if (options.isDetached) void socket.then(async () => (await import('./background.ts')).announceStart())
  const killed = signals.forced.then(() => Promise.race([ended, sleep(KILL_TIMEOUT_MS)]))
  const ending = await Promise.race([ended, killed])
  await keyboard.then((opened) => opened?.dispose())
  await triggers.end(signals.forced)
  const exitCode = signals.forcedExitCode() ?? ending?.exitCode ?? 1
  http?.close()
  // Closing removes the socket, so that the run folder can be removed.
  await socket.then((server) => server?.close())
  // Without an ending a process may still run; then the guard ends it.
  if (ending !== undefined) await guard.release()
  await Promise.all([
    systemd.close(),
    ...(log === null ? [flushed(stdout), flushed(stderr)] : [log.finish(FLUSH_TIMEOUT_MS)]),
  ])
  process.exit(exitCode)
}

/** Returns a stream to a log file. Throws a UserError if the file cannot be written. */
function openLog(path: string, emit: (event: SupervisorEvent) => void): LogStream {
  closeSync(openLogFile(path))
  return new LogStream({ path: resolve(path), maxSize: 10_000_000, maxFiles: 5 }, emit)
}

/** Reads keys if stdin and stdout are a terminal. */
async function openKeyboard(target: ControlTarget, guard: RunLock): Promise<Keyboard | null> {
  const { stdin, stdout } = process
  if (!stdin.isTTY || !stdout.isTTY) return null
  // Loaded late, because only a terminal needs it.
  const { Keyboard } = await import('./terminal/keyboard.ts')
  const actions = {
    names: async () => target.status().processes.flatMap(({ name, state }) => (state === 'disabled' ? [] : [name])),
    restart: async (name: string) => void (await target.act('restart', [name])),
    status: async () => renderStatus(target.status().processes),
    quit: () => void process.kill(process.pid, 'SIGINT'),
  }
  return new Keyboard({ stdin, stdout, actions, onMode: (mode) => guard.protectTerminal(mode) })
}

async function flushed(stream: Writable): Promise<void> {
  if (stream.writableLength === 0 || stream.destroyed || stream.errored !== null) return
  await Promise.race([new Promise<void>((resolve) => stream.once('drain', resolve)), sleep(FLUSH_TIMEOUT_MS)])
}

/** Starts the control API over TCP, if the file configures it. Rejects with a UserError. */
async function listenHttp(
  target: ControlTarget,
  http: ResolvedHttp | null,
  onEvent: (event: SupervisorEvent) => void,
): Promise<Server | null> {
  if (http === null) return null
  // Loaded late, because the first children start before it is needed.
  const { listenOnHttp } = await import('../control/server.ts')
  const server = await listenOnHttp(target, http)
  const url = `http://${formatSocketAddress(http)}/`
  onEvent({ type: 'control_listening', url, needsToken: http.tokenDigest !== null })
  return server
}

/** Starts the control API for the commands. Supervision continues if the socket fails. */
async function listenSocket(
  target: ControlTarget,
  path: string | null,
  warn: (message: string) => void,
): Promise<Server | null> {
  if (path === null) return null
  try {
    const { listenOnSocket } = await import('../control/server.ts')
    return await listenOnSocket(target, path)
  } catch (error) {
    warn(`no control socket, so "status", "logs" and the other commands do not work: ${messageOf(error)}`)
    return null
  }
}
