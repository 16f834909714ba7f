import { existsSync } from 'node:fs'
import type { Command } from 'commander'
import { durationForm, parseDuration } from '../../config/duration.ts'
import { UserError } from '../../config/errors.ts'
import { logStreams } from '../../control/logs/log-query.ts'
import { waitGoals, type WaitGoal } from '../../control/wait.ts'
import { logLevels } from '../../supervisor/output/log-level.ts'
import type { FileOptions } from '../options.ts'
import type { LogOptions } from '../remote/logs.ts'
import { addNames, dependenciesOption, fileOptions } from './command.ts'
import { addLineOptions, type LineOptions, toPrefixOptions } from './output.ts'
import { choiceOption } from './usage.ts'

const allByDefault = "names of processes, or patterns such as 'web*' (default: all)"
const atLeastOne = "names of processes, patterns such as 'web*', or all"

const commands = () => import('../remote/control-commands.ts')

/** Adds the commands that connect to a running orchestrator. */
export function addControlCommands(program: Command): void {
  addStatus(program)
  addLogs(program)
  addActions(program)
  addWait(program)
  addList(program)
  addAttach(program)
  program
    .command('reload')
    .description('read the file again and apply what has changed')
    .action(async () => (await commands()).reload(await file(program)))
  program
    .command('down')
    .description('stop all processes in order, then the orchestrator')
    .action(async () => (await commands()).down(await file(program)))
}

/** Returns the options of the file; the file of a running orchestrator need not exist any more. */
async function file(program: Command): Promise<FileOptions> {
  // Loaded late, as the commands are: the declarations are loaded for --help, too.
  const { isRun } = await import('../../supervisor/guard/run-folder.ts')
  return fileOptions(program, (path) => existsSync(path) || isRun(path, process.env))
}

function addStatus(program: Command): void {
  program
    .command('status')
    .description('show the state of the processes')
    .argument('[names...]', allByDefault, addNames)
    .option('--json', 'print JSON')
    .option('-w, --watch', 'show changes until Ctrl-C; with --json, one line for each')
    .action(async (names: readonly string[], { json = false, watch = false }: { json?: boolean; watch?: boolean }) =>
      watch
        ? (await import('../remote/status-watch.ts')).watchStatus(await file(program), names, json)
        : (await commands()).status(await file(program), names, json),
    )
}

function addLogs(program: Command): void {
  const logs = program
    .command('logs')
    .description('show the last output of the processes, and messages about them')
    .argument('[names...]', allByDefault, addNames)
    .option('-f, --follow', 'stream new lines')
    .option('-n, --tail <lines>', 'number of lines of each process, or all (default: 100; all with a filter)')
    .option('--since <time>', 'only lines after a time: 10m, 1h30m or 2d ago, or 2026-01-31T08:30:00')
    .option('--until <time>', 'only lines before a time')
    .option('--grep <regexp>', 'only lines that match a regular expression of JavaScript')
    .option('-i, --ignore-case', 'match --grep without regard to case')
    .addOption(choiceOption('--level <level>', 'only lines of at least this level', logLevels))
    .addOption(choiceOption('--stream <stream>', 'only lines of this stream', logStreams))
    .option('--no-events', 'without the messages of the orchestrator')
    .option('--json', 'print one JSON object per line')
    .action(async (processes: readonly string[], options: LogOptions & LineOptions) =>
      (await import('../remote/logs.ts')).logs(await file(program), processes, options, {
        prefix: toPrefixOptions(options),
      }),
    )
  addLineOptions(logs)
}

function addActions(program: Command): void {
  const verbs = [
    ['start', 'start processes that were stopped or have ended'],
    ['stop', 'stop processes; they stay stopped until they are started'],
    ['restart', 'stop processes and start them again'],
  ] as const
  for (const [verb, description] of verbs) {
    const command = program
      .command(verb)
      .description(description)
      .argument('<names...>', atLeastOne, addNames)
      .action(async (names: readonly string[]) => (await commands()).act(await file(program), verb, names))
    if (verb === 'start') command.addOption(dependenciesOption())
  }
  program
    .command('scale')
    .description('change the numbers of replicas until the next reload')
    .argument(
      '<name=number...>',
      'processes with "replicas", each with its number of instances, such as api=3',
      addNames,
    )
    .action(async (replicas: readonly string[]) => (await commands()).scale(await file(program), replicas))
}

function addWait(program: Command): void {
  program
    .command('wait')
    .description('wait until processes are ready or completed')
    .argument('[names...]', allByDefault, addNames)
    .addOption(choiceOption('--for <goal>', 'the state to wait for', waitGoals).default('ready'))
    .option('--timeout <duration>', 'give up after this time, such as 30s or 5m (default: never)', parseTimeout)
    .option('--json', 'print the outcome as JSON')
    .action(async (names: readonly string[], options: { for: WaitGoal; timeout?: number; json?: true }) => {
      const { for: goal, timeout = null, json = false } = options
      await (await import('../remote/wait.ts')).wait(await file(program), { names, goal, timeoutMs: timeout, json })
    })
}

function addList(program: Command): void {
  program
    .command('ls')
    .description('list the running orchestrators of this user')
    .option('--json', 'print JSON')
    .action(async ({ json = false }: { json?: boolean }) => (await import('../remote/list.ts')).list(json))
}

function addAttach(program: Command): void {
  const attach = program
    .command('attach')
    .description('show the output as run does, with its keys; or type into the terminal of one process with "tty"')
    .argument('[name]', 'name of a process (default: all)')
    .action(async (name: string | undefined, options: LineOptions) => {
      const { attachTo, attachToAll } = await import('../remote/attach.ts')
      return name === undefined
        ? attachToAll(await file(program), toPrefixOptions(options))
        : attachTo(await file(program), name)
    })
  addLineOptions(attach)
}

function parseTimeout(typed: string): number {
  const ms = parseDuration(typed)
  if (ms !== null) return ms
  const hint = parseDuration(`${typed}s`) === null ? '' : `; did you mean "${typed}s"?`
  throw new UserError(`--timeout ${JSON.stringify(typed)}: expected ${durationForm}${hint}`)
}
