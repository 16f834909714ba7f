import type { Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { loadConfig } from '../config/load.ts'
import type { ResolvedControl } from '../config/resolved.ts'
import { formatSocketAddress } from '../config/socket-address.ts'
import type { ControlServer } from '../control/server.ts'
import { ControlTarget, type Controllable } from '../control/target.ts'
import type { StopReason, SupervisorEvent } from '../supervisor/events.ts'
import { RunLock } from '../supervisor/guard/run-lock.ts'
import { runFolder, type RunFolder } from '../supervisor/guard/run-folder.ts'
import { groupOf } from '../supervisor/process-table.ts'
import { Supervisor } from '../supervisor/supervisor.ts'
import { describeNeededRestart } from './control-commands.ts'
import { type FileOptions, type RunOptions, toLoadOptions } from './options.ts'
import { createReporter } from './reporter.ts'
import { handleSignals } from './signals.ts'
import { SystemdNotifier } from './systemd-notify.ts'
import { messageOf } from '../config/errors.ts'

/** After a kill nothing is waited for longer than this. */
const killedMs = 2000
/** The last lines may still be on their way to a reader that takes them. */
const flushMs = 1000

/** `run`: supervises until everything has ended or was stopped, then ends this program with the exit code (O-1). */
export async function run(typed: FileOptions, options: RunOptions): Promise<never> {
  const load = () => loadConfig(toLoadOptions(typed, options.exitCodeFrom))
  const config = load()
  const { stdout, stderr } = process
  const colour = { stdout: showsColour(stdout), stderr: showsColour(stderr) }
  const names = config.processes.map((process) => process.name)
  const reporter = await createReporter({ output: stderr, logFormat: options.logFormat, colour: colour.stderr, names })
  const folder = runFolder(config.path, process.env)
  const guard = await RunLock.acquire({
    folder,
    configPath: config.path,
    socketPath: socketOf(config.control, folder),
    guardProgram: fileURLToPath(new URL('./guard.js', import.meta.url)),
    warn: reporter.warn,
  })
  const { env: environment, pid } = process
  const systemd = new SystemdNotifier({
    environment,
    pid,
    processes: () => supervisor.processes.map(({ definition }) => definition),
    warn: reporter.warn,
  })
  const onEvent = (event: SupervisorEvent) => {
    reporter.event(event)
    systemd.event(event)
  }
  const supervisor = new Supervisor(config, {
    ...options,
    guard,
    output: { stdout, stderr },
    colour,
    onEvent,
  })
  const target = new ControlTarget(supervisor, {
    load,
    control: config.control,
    onReload: systemd.reloading,
    // What has changed is told as an event.
    onReloaded: (answer, problem) => {
      systemd.reloaded(problem)
      if (problem !== null) reporter.warn(`the configuration stays as it was: ${problem}`)
      if (answer !== null && answer.needs_restart.length > 0) reporter.warn(describeNeededRestart(answer))
    },
  })
  const http = await openHttp(target, config.control, onEvent).catch(async (error: unknown) => {
    await guard.release()
    throw error
  })
  const actions = {
    stop: (reason: StopReason) => supervisor.stop(reason),
    kill: () => supervisor.kill(),
    reload: () => void target.reload().catch(() => undefined),
  }
  const signals = handleSignals(actions, {
    terminal: [process.stdin, stdout, stderr].some((stream) => stream.isTTY),
    underNpm: isUnderNpm(environment, pid),
    now: () => performance.now(),
  })
  killChildrenOnMistakes(supervisor)
  const ended = supervisor.run()
  const socket = openSocket(target, socketOf(config.control, folder), reporter.warn)
  const killed = signals.forced.then(() => Promise.race([ended, delay(killedMs)]))
  const ending = await Promise.race([ended, killed])
  const exitCode = signals.forcedExitCode() ?? ending?.exitCode ?? 1
  // What may still live after a kill is left to the guard.
  http?.close()
  void socket.then((server) => server?.close())
  if (ending !== undefined) await guard.release()
  await Promise.all([systemd.close(), flushed(stdout), flushed(stderr)])
  process.exit(exitCode)
}

/** Whether npm is in our process group. The leader of a group is a shell's own job: whatever npm there is above that shell gets no Ctrl-C. */
function isUnderNpm(environment: NodeJS.ProcessEnv, pid: number): boolean {
  return environment['npm_command'] !== undefined && groupOf(pid) !== pid
}

function showsColour(stream: NodeJS.WriteStream): boolean {
  return stream.isTTY && stream.hasColors()
}

/** A mistake in this program must not leave children behind. */
function killChildrenOnMistakes(supervisor: Supervisor): void {
  process.on('uncaughtExceptionMonitor', () => supervisor.kill())
}

async function flushed(stream: Writable): Promise<void> {
  if (stream.writableLength === 0 || stream.destroyed || stream.errored !== null) return
  await Promise.race([new Promise<void>((resolve) => stream.once('drain', resolve)), delay(flushMs)])
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** Where the commands find this run; null if it takes none. */
export function socketOf(control: ResolvedControl | null, folder: RunFolder): string | null {
  return control === null ? null : (control.socketPath ?? folder.socketPath)
}

/** The control API over TCP, if the file asks for it. Rejects with a ListenError if it cannot be had. */
export async function openHttp(
  target: Controllable,
  control: ResolvedControl | null,
  onEvent: (event: SupervisorEvent) => void,
): Promise<ControlServer | null> {
  const http = control?.http ?? null
  if (http === null) return null
  const { ControlApi, ControlServer } = await loadServer()
  const server = await ControlServer.onHttp(new ControlApi(target), http)
  const url = `http://${formatSocketAddress(http)}/`
  onEvent({ type: 'control_listening', url, needsToken: http.tokenDigest !== null })
  return server
}

/** The control API for the commands. Supervision goes on without it, if it cannot be had. */
export async function openSocket(
  target: Controllable,
  path: string | null,
  warn: (message: string) => void,
): Promise<ControlServer | null> {
  if (path === null) return null
  try {
    const { ControlApi, ControlServer } = await loadServer()
    return await ControlServer.onSocket(new ControlApi(target), path)
  } catch (error) {
    warn(`there is no control socket, so status, logs and the like will not work: ${messageOf(error)}`)
    return null
  }
}

/** Not before it is needed: the first children are to be on their way. */
async function loadServer() {
  const [{ ControlApi }, { ControlServer }] = await Promise.all([
    import('../control/api.ts'),
    import('../control/server.ts'),
  ])
  return { ControlApi, ControlServer }
}
