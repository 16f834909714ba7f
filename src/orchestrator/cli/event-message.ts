import type { ExitResult, StopReason, SupervisorEvent } from '../supervisor/events.ts'

export type Level = 'info' | 'warn' | 'error'

export interface EventMessage {
  readonly level: Level
  /** One line; the `lastLines` of an event are not in it. */
  readonly text: string
}

/** What happened, in words for people (O-32). */
export function describeEvent(event: SupervisorEvent): EventMessage {
  const text = textOf(event.type, event)
  return { level: levelOf(event), text: 'process' in event ? `${event.process}: ${text}` : text }
}

type EventType = SupervisorEvent['type']
type EventOf<T extends EventType> = Extract<SupervisorEvent, { readonly type: T }>
type Wordings = { readonly [T in EventType]: readonly [Level, (event: EventOf<T>) => string] }

/** Those of a process follow its name and a colon. */
const wordings: Wordings = {
  process_started: ['info', ({ attempt, pid }) => `${attempt === 0 ? 'started' : 'started again'} (pid ${pid})`],
  process_ready: ['info', ({ afterMs }) => `ready after ${formatDuration(afterMs)}`],
  process_unhealthy: ['warn', ({ reason }) => `not ready any more: ${reason}`],
  liveness_failed: ['warn', ({ reason }) => `failed its liveness probe: ${reason}`],
  process_exited: ['warn', ({ exit, uptimeMs }) => `${describeExit(exit)} after ${formatDuration(uptimeMs)}`],
  restart_scheduled: [
    'warn',
    ({ waitMs, attempt, maxAttempts }) =>
      `restarts in ${formatDuration(waitMs)} (attempt ${attempt}${Number.isFinite(maxAttempts) ? ` of ${maxAttempts}` : ''})`,
  ],
  spawn_failed: ['error', ({ message }) => `could not be started: ${message}`],
  process_failed: [
    'error',
    ({ reason, lastLines }) =>
      `failed for good: ${reason}${lastLines.length === 0 ? '' : '; the last lines it wrote:'}`,
  ],
  process_completed: ['info', ({ afterMs }) => `completed after ${formatDuration(afterMs)}`],
  process_skipped: ['warn', ({ because }) => `skipped, because ${because}`],
  process_stopping: ['info', ({ signal }) => `stopping (${signal})`],
  process_killed: ['warn', ({ afterMs }) => `did not stop within ${formatDuration(afterMs)}, so it gets SIGKILL`],
  process_stopped: ['info', ({ tookMs }) => `stopped after ${formatDuration(tookMs)}`],
  descendants_killed: ['warn', ({ pids }) => `left ${namePids(pids)} behind, killed now`],
  process_survived: ['error', ({ pids }) => `left ${namePids(pids)} behind, which cannot be killed`],
  mqtt_broker_waiting: ['info', ({ address }) => `waiting for the MQTT broker at ${address}`],
  mqtt_broker_unreachable: [
    'error',
    ({ address, reason }) =>
      `the MQTT broker at ${address} cannot be reached: ${reason}; start one, for example with ` +
      `"mosquitto -p ${address.split(':').at(-1)}", or name another with --mqtt-broker`,
  ],
  output_closed: ['warn', ({ stream, reason }) => `${stream} cannot be written to (${reason}); going on without it`],
  log_file_failed: [
    'warn',
    ({ path, reason }) => `its log file ${path} cannot be written to: ${reason}; going on, and trying again`,
  ],
  log_file_resumed: [
    'warn',
    ({ path, lostLines }) =>
      `its log file ${path} is written to again, ${lostLines === 0 ? 'nothing is missing' : `${lostLines} lines are missing`} in it`,
  ],
  all_ready: [
    'info',
    ({ count, afterMs }) =>
      `${count === 1 ? 'the process is' : `all ${count} processes are`} ready after ${formatDuration(afterMs)}`,
  ],
  control_listening: ['info', ({ url, needsToken }) => `control API at ${url}${needsToken ? ', with the token' : ''}`],
  reloaded: ['info', (event) => describeReload(event)],
  stopping: ['info', ({ reason }) => `stopping everything: ${describeStopReason(reason)}`],
  stopped: ['info', ({ tookMs }) => `everything is stopped after ${formatDuration(tookMs)}`],
}

function textOf<T extends EventType>(type: T, event: EventOf<T>): string {
  const [, wording] = wordings[type]
  return wording(event)
}

function levelOf(event: SupervisorEvent): Level {
  if (event.type === 'process_exited' && event.exit.code === 0) return 'info'
  if (event.type === 'stopping' && event.reason.type.endsWith('_failed')) return 'error'
  return wordings[event.type][0]
}

function describeReload(event: EventOf<'reloaded'>): string {
  const parts = (['added', 'removed', 'changed'] as const).flatMap((kind) =>
    event[kind].length === 0 ? [] : [`${kind} ${event[kind].join(', ')}`],
  )
  return `read the configuration again: ${parts.length === 0 ? 'nothing has changed' : parts.join('; ')}`
}

function describeStopReason(reason: StopReason): string {
  if (reason.type === 'signal')
    return reason.signal === 'SIGINT' ? 'SIGINT (a second one kills at once)' : reason.signal
  if (reason.type === 'asked') return 'asked to, with the command down'
  if (reason.type === 'start_failed') return `${reason.process}: ${reason.message}`
  if (reason.type === 'process_failed') return `${reason.process} has failed for good: ${reason.reason}`
  if (reason.type === 'exited') return `${reason.process} ${describeExit(reason.exit)}`
  return 'there is no MQTT broker'
}

function describeExit(exit: ExitResult): string {
  return exit.signal === null ? `exited with code ${exit.code}` : `was killed by ${exit.signal}`
}

function namePids(pids: readonly number[]): string {
  return pids.length === 1 ? `process ${pids[0]}` : `processes ${pids.join(', ')}`
}

const units = [
  { name: 'd', ms: 86_400_000 },
  { name: 'h', ms: 3_600_000 },
  { name: 'min', ms: 60_000 },
  { name: 's', ms: 1000 },
] as const

/** A length of time for people, with at most two units: `230 ms`, `3.2 s`, `2 min 5 s`, `3 d 4 h`. */
export function formatDuration(ms: number): string {
  if (ms < 999.5) return `${Math.round(ms)} ms`
  if (ms < 59_950) return `${Number((ms / 1000).toFixed(1))} s`
  const seconds = Math.round(ms / 1000) * 1000
  const index = units.findIndex((unit) => seconds >= unit.ms)
  const [first, second] = units.slice(index, index + 2)
  if (first === undefined || second === undefined) return `${seconds / 1000} s`
  const rest = Math.floor((seconds % first.ms) / second.ms)
  return `${Math.floor(seconds / first.ms)} ${first.name}${rest === 0 ? '' : ` ${rest} ${second.name}`}`
}
