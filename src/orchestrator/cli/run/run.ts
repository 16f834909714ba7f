import { fileURLToPath } from 'node:url'
import { ConfigLoader } from '../../config/config-loader.ts'
import type { LoadedConfig } from '../../config/load.ts'
import { describeProblem } from '../../config/source/problems.ts'
import { DEFAULT_FILE, nearestFile } from '../../config/source/nearest-file.ts'
import { ControlTarget } from '../../control/target.ts'
import type { ReloadAnswer } from '../../control/protocol.ts'
import type { ConfigChange, KillTrigger, StopReason, SupervisorEvent } from '../../supervisor/events.ts'
import { runFolder } from '../../supervisor/guard/run-folder.ts'
import { RunLock } from '../../supervisor/guard/run-lock.ts'
import type { StopPlan } from '../../supervisor/guard/stop-plan.ts'
import type { PromptLine } from '../../supervisor/output/prompt-line.ts'
import { Supervisor } from '../../supervisor/supervisor.ts'
import { sleep } from '../../supervisor/timers.ts'
import { Triggers } from '../../triggers/triggers.ts'
import { type FileOptions, type RunOptions, toLoadOptions } from '../options.ts'
import { describeChangeFailures, describeNeededRestart } from '../remote/action-report.ts'
import { openOutput, type RunOutput } from './output.ts'
import { listenHttp, listenSocket } from './servers.ts'
import { SystemdNotifier } from './systemd-notify.ts'
import { GroupWitness } from '../terminal/group-witness.ts'
import type { Keyboard } from '../terminal/keyboard.ts'
import { countForwarders, isInShellOfNpm, watchParent } from '../terminal/launcher.ts'
import { handleSignals } from '../terminal/signals.ts'

/** The maximum wait for the end of the processes after a kill. */
const KILL_TIMEOUT_MS = 2000

/** Supervises until all processes have ended or were stopped, then exits with the exit code. */
export async function run(typed: FileOptions, options: RunOptions): Promise<never> {
  if (options.isDetached) (await import('./background.ts')).closeInheritedDescriptors()
  const loader = new ConfigLoader(toLoadOptions(typed, options))
  const config = loader.load()
  const output = await openOutput(options, config, (event) => graph.onEvent(event))
  const { warn, info } = output.reporter
  if (typed.config !== DEFAULT_FILE && typed.config === nearestFile()) info(`runs ${typed.config}`)
  for (const problem of config.warnings) warn(describeProblem(problem))
  const { lock, socketPath } = await acquireLock(config, warn)
  const graph = createGraph(config, { loader, options, output, lock })
  const { supervisor, triggers, target, systemd } = graph
  const http = await listenHttp(target, config.control?.http ?? null, graph.onEvent).catch(async (error: unknown) => {
    await lock.release()
    throw error
  })
  const signals = handleRunSignals(supervisor, target)
  const keyboard = openKeyboard(output.prompt, target, lock, signals.quit)
  const ended = supervisor.run()
  triggers.start()
  const socket = listenSocket(target, socketPath, warn)
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
  if (ending !== undefined) await lock.release()
  await Promise.all([systemd.close(), output.finish()])
  process.exit(exitCode)
}

/** Resolves when no other orchestrator runs the file. Throws a UserError if one does. */
async function acquireLock(config: LoadedConfig, warn: (message: string) => void) {
  const folder = runFolder(config.path, process.env)
  const socketPath = config.control === null ? null : (config.control.socketPath ?? folder.socketPath)
  const guardProgram = fileURLToPath(new URL('./ponix-guard.sh', import.meta.url))
  const { path: configPath, processes: definitions } = config
  const lock = await RunLock.acquire({ folder, configPath, socketPath, guardProgram, definitions, warn })
  return { lock, socketPath }
}

interface Environment {
  readonly loader: ConfigLoader
  readonly options: RunOptions
  readonly output: RunOutput
  readonly lock: RunLock
}

/** Creates the supervisor of the processes and everything that reacts to its events. Nothing runs yet. */
function createGraph(config: LoadedConfig, { loader, options, output, lock }: Environment) {
  const { reporter, supervised } = output
  const systemd = new SystemdNotifier({
    environment: process.env,
    pid: process.pid,
    processes: () =>
      supervisor.graph.all.flatMap(({ definition, state }) => (state.type === 'disabled' ? [] : [definition])),
    warn: reporter.warn,
  })
  const onEvent = (event: SupervisorEvent) => {
    reporter.event(event)
    systemd.event(event)
    triggers.event(event)
    if (event.type === 'stopping') lock.stopping()
  }
  // The guard also ends what triggers run, which the supervisor leaves alone.
  const guarded = {
    runTag: `${lock.runTag}/run`,
    protect: (makePlan: () => StopPlan) => lock.protect(() => ({ ...makePlan(), runTag: lock.runTag })),
  }
  const supervisor = new Supervisor(config, {
    ...options,
    ...supervised,
    guard: guarded,
    nextRun: (name) => triggers.nextRun(name),
    onEvent,
  })
  const triggers = new Triggers(supervisor, { emit: onEvent, runTag: lock.runTag })
  const target = new ControlTarget(supervisor, {
    load: () => loader.load(),
    scale: (replicas) => loader.scale(replicas),
    control: config.control,
    nextRun: (name) => triggers.nextRun(name),
    onReload: systemd.reloading,
    onApplied: () => systemd.reloaded(null),
    onReloaded: (answer, cause) => {
      for (const message of describeChange(answer, cause)) reporter.warn(message)
    },
    onRejected: (problem) => {
      systemd.reloaded(problem)
      reporter.warn(`reload rejected: ${problem}`)
    },
  })
  return { supervisor, triggers, target, systemd, onEvent }
}

/** Returns the warnings after a change of the configuration; the changes themselves are reported by an event. */
function describeChange(answer: ReloadAnswer, cause: ConfigChange): readonly string[] {
  const failures = describeChangeFailures(answer, cause)
  return [
    ...(answer.needs_restart.length === 0 ? [] : [describeNeededRestart(answer)]),
    ...(failures === null ? [] : [failures]),
  ]
}

/** Stops, kills and reloads on signals, and kills after an internal error. */
function handleRunSignals(supervisor: Supervisor, target: ControlTarget) {
  const { env: environment, pid } = process
  const actions = {
    stop: (reason: StopReason) => supervisor.stop(reason),
    kill: (trigger: KillTrigger) => supervisor.kill(trigger),
    reload: () => void target.configuration.reload().catch(() => undefined),
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
  return signals
}

/** Reads keys if the terminal has a prompt for them. */
async function openKeyboard(
  prompt: PromptLine | null,
  target: ControlTarget,
  lock: RunLock,
  quit: () => void,
): Promise<Keyboard | null> {
  if (prompt === null) return null
  const { stdin, stdout } = process
  // Loaded late, because only a terminal needs it.
  const { Keyboard } = await import('../terminal/keyboard.ts')
  const actions = {
    status: async () => target.status().processes,
    restart: (name: string) => target.act('restart', [name]),
    quit,
  }
  return new Keyboard({ stdin, stdout, actions, prompt, onMode: (mode) => lock.protectTerminal(mode) })
}
