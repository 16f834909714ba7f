import { reloadAnswer, statusAnswer, type ProcessStatus, type ReloadAnswer } from '../control/protocol.ts'
import type { ControlClient } from './control-client.ts'
import { formatDuration } from './event-message.ts'

/** What is asked of named processes. */
export type ProcessAction = 'start' | 'stop' | 'restart'

/** `start`, `stop` and `restart`: shows how the processes stand afterwards; exit code 1 if one that should be up is not. */
export async function act(client: ControlClient, action: ProcessAction, names: readonly string[]): Promise<number> {
  const { processes } = await client.call('POST', `/${action}`, statusAnswer, { processes: names })
  const chosen = processes.filter(({ name }) => names.includes(name) || names.includes(groupOf(name)))
  process.stdout.write(renderStatus(chosen, process.stdout.isTTY && process.stdout.hasColors()))
  return action !== 'stop' && chosen.some(({ state }) => state === 'failed' || state === 'skipped') ? 1 : 0
}

/** The name in the file of an instance such as `worker#2`. */
function groupOf(name: string): string {
  return name.replace(/#\d+$/, '')
}

/** `reload`: the running orchestrator reads its file again (O-39). */
export async function reload(client: ControlClient): Promise<number> {
  const answer = await client.call('POST', '/reload', reloadAnswer)
  const parts = (['added', 'removed', 'changed'] as const).flatMap((kind) =>
    answer[kind].length === 0 ? [] : [`${kind}: ${answer[kind].join(', ')}`],
  )
  const restart = answer.needs_restart.length === 0 ? [] : [describeNeededRestart(answer)]
  const said = [...parts, ...restart]
  process.stdout.write(`${said.length === 0 ? 'nothing has changed' : said.join('; ')}\n`)
  return 0
}

/** `down`: stops everything in order, and the orchestrator; resolves when it has ended. */
export async function down(client: ControlClient): Promise<number> {
  // This one is open until the orchestrator ends.
  const open = await client.open('GET', '/logs?tail=0&follow=1')
  const ended = new Promise((resolve) =>
    open
      .resume()
      .on('error', () => undefined)
      .once('close', resolve),
  )
  await client.call('POST', '/down', statusAnswer)
  await ended
  process.stdout.write('everything is stopped\n')
  return 0
}

/** `status`: what every process of a running orchestrator does (O-9). */
export async function status(client: ControlClient, { json }: { readonly json: boolean }): Promise<number> {
  const answer = await client.call('GET', '/status', statusAnswer)
  const { stdout } = process
  stdout.write(
    json ? `${JSON.stringify(answer)}\n` : renderStatus(answer.processes, stdout.isTTY && stdout.hasColors()),
  )
  return 0
}

type Cell = (process: ProcessStatus) => string

const COLUMNS: readonly { readonly head: string; readonly right: boolean; readonly cell: Cell }[] = [
  { head: 'NAME', right: false, cell: ({ name }) => name },
  { head: 'STATE', right: false, cell: ({ state }) => state },
  { head: 'PID', right: true, cell: ({ pid }) => (pid === null ? '-' : String(pid)) },
  { head: 'UP', right: true, cell: ({ uptime_ms }) => (uptime_ms === null ? '-' : formatDuration(uptime_ms)) },
  { head: 'RESTARTS', right: true, cell: ({ restarts }) => String(restarts) },
  { head: 'CPU', right: true, cell: ({ cpu_percent }) => (cpu_percent === null ? '-' : `${cpu_percent.toFixed(1)} %`) },
  { head: 'MEMORY', right: true, cell: ({ memory_bytes }) => (memory_bytes === null ? '-' : megabytes(memory_bytes)) },
  { head: '', right: false, cell: (process) => process.reason ?? lastExit(process) },
]

const COLOURS: Readonly<Record<string, number>> = {
  ready: 32,
  running: 32,
  completed: 32,
  unhealthy: 31,
  failed: 31,
  backoff: 33,
  stopping: 33,
  starting: 33,
  skipped: 33,
}

/** A line for each process, under a heading. */
export function renderStatus(processes: readonly ProcessStatus[], colour: boolean): string {
  const rows = [
    COLUMNS.map(({ head }) => head),
    ...processes.map((process) => COLUMNS.map(({ cell }) => cell(process))),
  ]
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const lines = rows.map((row, index) => {
    const cells = row.map((cell, column) => {
      const width = widths[column] ?? 0
      const padded = COLUMNS[column]?.right === true ? cell.padStart(width) : cell.padEnd(width)
      const code = colour && index > 0 && COLUMNS[column]?.head === 'STATE' ? COLOURS[cell] : undefined
      return code === undefined ? padded : `\u001b[${code}m${padded}\u001b[39m`
    })
    return cells.join('  ').trimEnd()
  })
  return `${lines.join('\n')}\n`
}

function lastExit({ state, exit_code, signal }: ProcessStatus): string {
  if (state !== 'backoff') return ''
  if (signal !== null) return `last ended by ${signal}`
  return exit_code === null ? '' : `last exit code ${exit_code}`
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`
}

/** What a reload could not do, in words for people. */
export function describeNeededRestart({ needs_restart }: ReloadAnswer): string {
  return `"${needs_restart.join('", "')}" has changed too: that counts once the orchestrator is started again`
}
