import { selectNames } from '../../control/names.ts'
import { reachable } from '../../config/dependency-graph.ts'
import {
  actionAnswer,
  type ProcessStatus,
  type ReloadAnswer,
  reloadAnswer,
  type StartFailureAnswer,
  statusAnswer,
} from '../../control/protocol.ts'
import { ControlClient, isNotRunning, processQuery } from './control-client.ts'
import { withProgress } from './progress.ts'
import { parseReplicas } from './replicas.ts'
import { renderStatus } from './status-table.ts'
import {
  describeDependents,
  describeLeftOut,
  describeNeededRestart,
  describeResult,
  describeStartFailure,
} from './action-report.ts'
import { columnsOf, type FileOptions } from '../options.ts'

/** Prints the status of the processes with these names and those of `--only`; without names, of all. */
export async function status(file: FileOptions, names: readonly string[], json: boolean): Promise<void> {
  const query = processQuery([...names, ...file.only])
  const answer = await new ControlClient(file).call('GET', `/status?${query.toString()}`, statusAnswer, { names })
  process.stdout.write(json ? `${JSON.stringify(answer)}\n` : renderStatus(answer.processes, columnsOf(process.stdout)))
}

/** Requests an action and prints the result for each process. Exit code 1, and a line on stderr for each, if processes failed or were skipped. */
export async function act(
  file: FileOptions,
  action: 'start' | 'stop' | 'restart',
  names: readonly string[],
): Promise<void> {
  const hasDependencies = action === 'start' && file.withDependencies === true
  const body = { processes: names, ...(hasDependencies && { with_dependencies: true }) }
  const requestedAt = performance.now()
  const options = { body, names }
  const answer = new ControlClient(file).call('POST', `/${action}`, actionAnswer, options)
  const { processes, failed, ended } = await withProgress(file, names, answer)
  const chosen = chosenFrom(processes, names, hasDependencies)
  const elapsedMs = performance.now() - requestedAt
  const hasFailed = new Set(failed.map((failure) => failure.process))
  const results = chosen.filter(({ name }) => !hasFailed.has(name))
  const endedOf = (name: string) => ended.find((left) => left.process === name) ?? null
  const lines = results.map((result) => describeResult(action, result, elapsedMs, endedOf(result.name)))
  const others = action === 'stop' ? describeDependents(chosen, processes) : describeLeftOut(chosen, processes)
  for (const line of others === null ? lines : [...lines, others]) process.stdout.write(`${line}\n`)
  reportFailures(failed)
}

/** Prints a line for each failure on stderr and sets the exit code to 1, if there are any. */
function reportFailures(failed: readonly StartFailureAnswer[]): void {
  for (const failure of failed) process.stderr.write(`ponix-orchestrator: ${describeStartFailure(failure)}\n`)
  if (failed.length > 0) process.exitCode = 1
}

/** Returns the processes that these names and patterns select and, with `dependencies`, everything that they depend on. */
function chosenFrom(
  processes: readonly ProcessStatus[],
  names: readonly string[],
  dependencies: boolean,
): readonly ProcessStatus[] {
  const all = processes.map(({ name }) => name)
  const selected = new Set(names.flatMap((name) => selectNames(name, all)))
  const named = processes.filter(({ name }) => selected.has(name))
  if (!dependencies) return named
  const chosen = reachable(named, ({ depends_on }) => processes.filter(({ name }) => depends_on.includes(name)))
  return processes.filter((process) => chosen.has(process))
}

export async function reload(file: FileOptions): Promise<void> {
  reportReload(await withProgress(file, [], new ControlClient(file).call('POST', '/reload', reloadAnswer)))
}

/** Requests other numbers of replicas, `NAME=NUMBER` each, and prints the changes as `reload` does. */
export async function scale(file: FileOptions, typed: readonly string[]): Promise<void> {
  const replicas = parseReplicas(typed)
  const body = { replicas: Object.fromEntries(replicas) }
  const answer = new ControlClient(file).call('POST', '/scale', reloadAnswer, { body })
  reportReload(await withProgress(file, [...replicas.keys()], answer))
}

function reportReload(answer: ReloadAnswer): void {
  const changes = (['added', 'removed', 'changed'] as const).flatMap((kind) =>
    answer[kind].length === 0 ? [] : [`${kind}: ${answer[kind].join(', ')}`],
  )
  const restart = answer.needs_restart.length === 0 ? [] : [describeNeededRestart(answer)]
  process.stdout.write(`${[...changes, ...restart].join('; ') || 'nothing has changed'}\n`)
  reportFailures(answer.failed)
  for (const { process: name, because } of answer.superseded) {
    process.stderr.write(`ponix-orchestrator: ${name} ${because} before it was up\n`)
    process.exitCode = 1
  }
}

/** Stops the orchestrator; resolves when it has ended. If it was killed, stops the processes that it has left. */
export async function down(file: FileOptions): Promise<void> {
  const client = new ControlClient(file)
  // This connection stays open until the orchestrator ends.
  const open = await client.open('GET', '/logs?tail=0&follow=1').catch(async (error: unknown) => {
    if (isNotRunning(error) && (await (await import('./orphans.ts')).stopKilledRun(file))) return null
    throw error
  })
  if (open === null) return
  open.resume().on('error', () => undefined)
  const ended = new Promise((resolve) => open.once('close', resolve))
  await client.call('POST', '/down', statusAnswer)
  await ended
  process.stdout.write('everything is stopped\n')
}
