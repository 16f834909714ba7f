import { Argument, Command, CommanderError, Help, Option } from 'commander'
import { nearestName, UsageError } from '../config/errors.ts'
import { redact } from '../config/redact.ts'
import { packageVersion } from '../config/variables.ts'
import type { ProcessAction } from './control-commands.ts'
import type { LogOptions } from './logs.ts'
import {
  type Shell,
  shells,
  type ExportEngine,
  exportEngines,
  type ExportOptions,
  type FileOptions,
  type RunOptions,
} from './options.ts'

/** One function for each command; each answers with the exit code. They are loaded only when they are called. */
export interface Actions {
  run(file: FileOptions, run: RunOptions): Promise<number>
  validate(file: FileOptions): Promise<number>
  graph(file: FileOptions, format: GraphFormat): Promise<number>
  export(file: FileOptions, engine: ExportEngine, options: ExportOptions): Promise<number>
  completion(shell: Shell): Promise<number>
  /** What the last of the words could become, for the scripts of `completion`. */
  completeWords(program: Command, words: readonly string[]): Promise<number>
  status(file: FileOptions, options: { readonly json: boolean }): Promise<number>
  logs(file: FileOptions, options: LogOptions): Promise<number>
  /** `start`, `stop` and `restart`. */
  act(file: FileOptions, action: ProcessAction, names: readonly string[]): Promise<number>
  reload(file: FileOptions): Promise<number>
  down(file: FileOptions): Promise<number>
}

export const graphFormats = ['text', 'mermaid', 'dot', 'json'] as const
export type GraphFormat = (typeof graphFormats)[number]

const examples = `
Examples:
  ponix-orchestrator                        run everything in ./commonplace.json
  ponix-orchestrator --config dev.json      run another file
  ponix-orchestrator --disable postgres     run all but one
  ponix-orchestrator validate               check the file, run nothing
  ponix-orchestrator status                 in another terminal: what runs
  ponix-orchestrator logs -f api            follow the output of one process

Ctrl-C stops everything in order; a second Ctrl-C kills it.`

/**
 * Does what the arguments say (without those of node itself) and answers with the exit code. Throws a UsageError for what
 * cannot be understood, and whatever a command throws.
 */
export async function runProgram(args: readonly string[], actions: Actions): Promise<number> {
  let exitCode = 0
  const program = buildProgram(actions, (code) => (exitCode = code))
  try {
    await program.parseAsync([...args], { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode === 0) return 0
    throw new UsageError(describeMistake(error.message))
  }
  return exitCode
}

/** Commander begins with "error: " and puts its suggestion on a second line. */
function describeMistake(message: string): string {
  return redact(message)
    .replace(/^error: /, '')
    .replace(/unknown option '(--[\w-]+)'\s*\(Did you mean \1\?\)/, '$1 is an option of run, not of this command')
    .replace(/\s*\n\(Did you mean /, ' (did you mean ')
    .replaceAll(/\s*\n\s*/g, ' ')
}

function buildProgram(actions: Actions, ended: (exitCode: number) => void): Command {
  const program = new Command('ponix-orchestrator')
    .description('Starts the processes of a JSON file in the order of their dependencies, and keeps them running.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .option('--config <path>', 'the file that says what to run', 'commonplace.json')
    .option('--only <name>', 'run just this process, without its dependencies (repeatable)', collect)
    .option('--disable <name>', 'do not run this process (repeatable)', collect)
    .option('--mqtt-broker <host:port>', "address of the MQTT broker, in place of the file's")
  const run = addRun(program, actions, ended)
  addValidate(program, actions, ended)
  addGraph(program, actions, ended)
  addExport(program, actions, ended)
  addCompletion(program, actions, ended)
  addControl(program, actions, ended)
  // `run` is what happens without a command, so the options of `run` belong to the first help that somebody sees.
  program.configureHelp({
    showGlobalOptions: true,
    visibleOptions: (command) => [...new Help().visibleOptions(command), ...(command === program ? run.options : [])],
  })
  program.addHelpText('after', examples)
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({ outputError: () => undefined, writeErr: () => undefined })
    command.configureHelp(program.configureHelp())
  }
  return program
}

function collect(name: string, before: readonly string[] = []): readonly string[] {
  return [...before, name]
}

function addRun(program: Command, actions: Actions, ended: (exitCode: number) => void): Command {
  return addCommand(program, 'run', 'run the processes in the foreground (the default)', { isDefault: true })
    .addOption(
      new Option('--log-format <format>', 'how to show lines').choices(['text', 'json'] as const).default('text'),
    )
    .option('--abort-on-exit', 'stop everything when any process ends, with its exit code')
    .option('--exit-code-from <name>', 'stop everything when this process ends, with its exit code')
    .action(
      async (typed: { logFormat: 'text' | 'json'; abortOnExit?: true; exitCodeFrom?: string }, command: Command) => {
        refuseArguments(program, command)
        const { logFormat, abortOnExit = false, exitCodeFrom = null } = typed
        ended(await actions.run(fileOptions(program), { logFormat, abortOnExit, exitCodeFrom }))
      },
    )
}

function fileOptions(program: Command): FileOptions {
  return { only: [], disable: [], ...program.opts<Pick<FileOptions, 'config'> & Partial<FileOptions>>() }
}

function addValidate(program: Command, actions: Actions, ended: (exitCode: number) => void): void {
  addCommand(program, 'validate', 'check the file and print the start order').action(async (_, command: Command) => {
    refuseArguments(program, command)
    ended(await actions.validate(fileOptions(program)))
  })
}

function addGraph(program: Command, actions: Actions, ended: (exitCode: number) => void): void {
  addCommand(program, 'graph', 'print the dependency graph')
    .addOption(new Option('--format <format>', 'how to print it').choices(graphFormats).default('text'))
    .action(async ({ format }: { format: GraphFormat }, command: Command) => {
      refuseArguments(program, command)
      ended(await actions.graph(fileOptions(program), format))
    })
}

/** The commands that talk to an orchestrator that runs already (O-9). */
function addControl(program: Command, actions: Actions, ended: (exitCode: number) => void): void {
  addCommand(program, 'status', 'show what the running processes do')
    .option('--json', 'for scripts')
    .action(async ({ json = false }: { json?: boolean }, command: Command) => {
      refuseArguments(program, command)
      ended(await actions.status(fileOptions(program), { json }))
    })
  addLogs(program, actions, ended)
  const verbs = [
    ['start', 'start processes that were stopped or have ended'],
    ['stop', 'stop processes; they stay down until they are started'],
    ['restart', 'stop processes and start them again'],
  ] as const
  for (const [action, description] of verbs) {
    addCommand(program, action, description)
      .argument('<names...>', 'names of processes')
      .action(async (names: readonly string[]) => ended(await actions.act(fileOptions(program), action, names)))
  }
  addCommand(program, 'reload', 'read the file again and apply what has changed').action(
    async (_, command: Command) => {
      refuseArguments(program, command)
      ended(await actions.reload(fileOptions(program)))
    },
  )
  addCommand(program, 'down', 'stop everything in order, and the orchestrator').action(async (_, command: Command) => {
    refuseArguments(program, command)
    ended(await actions.down(fileOptions(program)))
  })
}

function addLogs(program: Command, actions: Actions, ended: (exitCode: number) => void): void {
  addCommand(program, 'logs', 'show what the running processes said last')
    .argument('[names...]', 'names of processes; all if none is given')
    .option('-f, --follow', 'go on with what they say next')
    .option('--tail <lines>', 'how many lines of each', parseTail, 100)
    .option('--json', 'one JSON object a line')
    .action(
      async (
        processes: readonly string[],
        { follow = false, tail, json = false }: { follow?: boolean; tail: number; json?: boolean },
      ) => ended(await actions.logs(fileOptions(program), { processes, follow, tail, json })),
    )
}

function parseTail(typed: string): number {
  if (!/^\d{1,9}$/.test(typed)) throw new UsageError(`--tail ${JSON.stringify(typed)}: expected a whole number from 0`)
  return Number(typed)
}

function addExport(program: Command, actions: Actions, ended: (exitCode: number) => void): void {
  addCommand(program, 'export', 'write the same graph for another engine')
    .addArgument(new Argument('<engine>', 'who takes over').choices(exportEngines))
    .option('--output <folder>', 'write files into this folder; without it, all goes to stdout')
    .option('--name <name>', "begins the names of what is made; without it, the name of the file's folder")
    .option('--image <image>', 'of the containers; without it, NAME:latest')
    .action(async (engine: ExportEngine, typed: Partial<ExportOptions>) => {
      const { output = null, name = null, image = null } = typed
      ended(await actions.export(fileOptions(program), engine, { output, name, image }))
    })
}

function addCompletion(program: Command, actions: Actions, ended: (exitCode: number) => void): void {
  addCommand(program, 'completion', 'print a script that makes a shell complete commands, options and names')
    .argument('[shell]', shells.join(', '))
    .addOption(new Option('--words', 'complete the words after --').hideHelp())
    .action(async (typed: string | undefined, { words = false }: { words?: boolean }, command: Command) => {
      if (words) return ended(await actions.completeWords(program, command.args))
      const shell = shells.find((known) => known === typed)
      if (shell === undefined) throw new UsageError(`completion: expected the name of a shell: ${shells.join(', ')}`)
      return ended(await actions.completion(shell))
    })
}

function addCommand(program: Command, name: string, description: string, options = {}): Command {
  return program
    .command(name, options)
    .description(description)
    .helpOption('-h, --help', 'print this help')
    .allowExcessArguments()
}

/** No command takes arguments; what stands there is a mistyped command, or one behind the options of `run`. */
function refuseArguments(program: Command, command: Command): void {
  const [first] = command.args
  if (first === undefined) return
  const names = program.commands.map((known) => known.name())
  if (names.includes(first)) throw new UsageError(`write the command first: ponix-orchestrator ${first} …`)
  const nearest = nearestName(first, names)
  const hint = nearest === null ? `the commands are ${names.join(', ')}` : `did you mean "${nearest}"?`
  throw new UsageError(`unknown command "${first}"; ${hint}`)
}
