import { Argument, Command, CommanderError, type CommandOptions, Help, Option } from 'commander'
import { nearestName, UserError } from '../config/errors.ts'
import { packageVersion } from '../config/variables.ts'
import { redact } from '../config/redact.ts'
import {
  type ExportEngine,
  exportEngines,
  type ExportOptions,
  type FileOptions,
  type GraphFormat,
  graphFormats,
  shells,
} from './options.ts'

const examples = `
Examples:
  ponix-orchestrator                        run everything in ./commonplace.json
  ponix-orchestrator --config dev.json      run another file
  ponix-orchestrator --disable postgres     run all processes but one
  ponix-orchestrator validate               check the file, run nothing
  ponix-orchestrator status                 in another terminal: show what runs
  ponix-orchestrator logs -f api            follow the output of one process

Ctrl-C stops everything in order; a second Ctrl-C kills it.`

/**
 * Runs the command of the arguments (without the arguments of node). Rejects with a UserError for wrong arguments, and with the
 * error of the command. The module of a command is loaded only when the command runs.
 */
export async function runProgram(args: readonly string[]): Promise<void> {
  const program = buildProgram()
  try {
    await program.parseAsync([...args], { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode === 0) return
    if (error.code === 'commander.help') throw unknownCommand(program, args[args.indexOf('help') + 1] ?? '')
    throw new UserError(usageMessage(error.message))
  }
}

/** Converts a message of commander, which begins with "error: " and has its suggestion on a second line. */
function usageMessage(message: string): string {
  return redact(message)
    .replace(/^error: /, '')
    .replace(/unknown option '(--[\w-]+)'\s*\(Did you mean \1\?\)/, '$1 is an option of run, not of this command')
    .replace(/\s*\n\(Did you mean /, ' (did you mean ')
    .replaceAll(/\s*\n\s*/g, ' ')
}

function buildProgram(): Command {
  const program: Command = new Command('ponix-orchestrator')
    .description('Starts the processes of a JSON file in the order of their dependencies and keeps them running.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .option('--config <path>', 'the file that defines the processes', 'commonplace.json')
    .option('--only <name>', 'run only this process, without its dependencies (repeatable)', collect)
    .option('--disable <name>', 'do not run this process (repeatable)', collect)
    .option('--mqtt-broker <host:port>', 'address of the MQTT broker; overrides the address in the file')
    .addHelpText('after', examples)
    .exitOverride()
    .configureOutput({ outputError: () => undefined, writeErr: () => undefined })
    // Without a command `run` is executed, so the help of the program shows the options of `run` too.
    .configureHelp({
      showGlobalOptions: true,
      visibleOptions: (command) => [...new Help().visibleOptions(command), ...(command === program ? run.options : [])],
    })
  // Commands inherit these settings.
  const run = addRun(program)
  addGraphCommands(program)
  addCompletion(program)
  addControlCommands(program)
  return program
}

function collect(name: string, before: readonly string[] = []): readonly string[] {
  return [...before, name]
}

function fileOptions(program: Command): FileOptions {
  return { only: [], disable: [], ...program.opts<Pick<FileOptions, 'config'> & Partial<FileOptions>>() }
}

/** The options of all commands without arguments. */
interface PlainOptions {
  readonly logFormat?: 'text' | 'json'
  readonly abortOnExit?: true
  readonly exitCodeFrom?: string
  readonly format?: GraphFormat
  readonly json?: true
}

/** Adds a command without arguments. */
function addPlainCommand(
  program: Command,
  name: string,
  description: string,
  act: (options: PlainOptions) => Promise<void>,
  options: CommandOptions = {},
): Command {
  return program
    .command(name, options)
    .description(description)
    .allowExcessArguments()
    .action(async (typed: PlainOptions, command: Command) => {
      refuseArguments(program, command)
      await act(typed)
    })
}

/** Rejects arguments: each is a mistyped command, or a command after the options of `run`. */
function refuseArguments(program: Command, command: Command): void {
  const [first] = command.args
  if (first === undefined) return
  if (program.commands.some((known) => known.name() === first)) {
    throw new UserError(`write the command first: ponix-orchestrator ${first} …`)
  }
  throw unknownCommand(program, first)
}

function unknownCommand(program: Command, name: string): UserError {
  const names = program.commands.map((known) => known.name())
  const nearest = nearestName(name, names)
  const hint = nearest === null ? `the commands are ${names.join(', ')}` : `did you mean "${nearest}"?`
  return new UserError(`unknown command "${name}"; ${hint}`)
}

function addRun(program: Command): Command {
  return addPlainCommand(
    program,
    'run',
    'run the processes in the foreground (the default)',
    async ({ logFormat, abortOnExit = false, exitCodeFrom = null }) => {
      const { run } = await import('./run.ts')
      const forceReadable = logFormat === 'text'
      return run(fileOptions(program), { logFormat: logFormat ?? 'text', forceReadable, abortOnExit, exitCodeFrom })
    },
    { isDefault: true },
  )
    .addOption(
      new Option(
        '--log-format <format>',
        'format of the output (default: text); if given, "text" makes JSON records of processes readable even on pipes',
      ).choices(['text', 'json']),
    )
    .option('--abort-on-exit', 'stop everything when any process ends, with its exit code')
    .option('--exit-code-from <name>', 'stop everything when this process ends, with its exit code')
}

function addGraphCommands(program: Command): void {
  const file = () => fileOptions(program)
  addPlainCommand(program, 'validate', 'check the file and print the start order', async () =>
    (await import('./graph.ts')).validate(file()),
  )
  addPlainCommand(program, 'graph', 'print the dependency graph', async ({ format = 'text' }) =>
    (await import('./graph.ts')).graph(file(), format),
  ).addOption(new Option('--format <format>', 'output format').choices(graphFormats).default('text'))
  program
    .command('export')
    .description('write the same graph for another engine')
    .addArgument(new Argument('<engine>', 'the engine that will run the processes').choices(exportEngines))
    .option('--output <folder>', 'write files to this folder (default: write to stdout)')
    .option('--name <name>', "prefix of generated names (default: the name of the file's folder)")
    .option('--image <image>', 'image of the containers (default: NAME:latest)')
    .action(async (engine: ExportEngine, options: ExportOptions) => {
      await (await import('./export.ts')).exportGraph(file(), engine, options)
    })
}

/** Adds the commands that connect to a running orchestrator. */
function addControlCommands(program: Command): void {
  const file = () => fileOptions(program)
  const commands = () => import('./control-commands.ts')
  addPlainCommand(program, 'status', 'show the state of the processes', async ({ json = false }) =>
    (await commands()).status(file(), json),
  ).option('--json', 'print JSON')
  program
    .command('logs')
    .description('show the last output of the processes')
    .argument('[names...]', 'names of processes (default: all)')
    .option('-f, --follow', 'stream new lines')
    .option('--tail <lines>', 'number of lines of each process', parseTail, 100)
    .option('--json', 'print one JSON object per line')
    .action(async (processes: readonly string[], options: { follow?: true; tail: number; json?: true }) => {
      const { follow = false, tail, json = false } = options
      await (await import('./logs.ts')).logs(file(), { processes, follow, tail, json })
    })
  const verbs = [
    ['start', 'start processes that were stopped or have ended'],
    ['stop', 'stop processes; they stay stopped until they are started'],
    ['restart', 'stop processes and start them again'],
  ] as const
  for (const [verb, description] of verbs) {
    program
      .command(verb)
      .description(description)
      .argument('<names...>', 'names of processes')
      .action(async (names: readonly string[]) => (await commands()).act(file(), verb, names))
  }
  addPlainCommand(program, 'reload', 'read the file again and apply what has changed', async () =>
    (await commands()).reload(file()),
  )
  addPlainCommand(program, 'down', 'stop all processes in order, then the orchestrator', async () =>
    (await commands()).down(file()),
  )
}

function parseTail(typed: string): number {
  if (!/^\d{1,9}$/.test(typed))
    throw new UserError(`--tail ${JSON.stringify(typed)}: expected a whole number of 0 or more`)
  return Number(typed)
}

function addCompletion(program: Command): void {
  program
    .command('completion')
    .description('print a script with which a shell completes commands, options and names')
    .argument('[shell]', shells.join(', '))
    .addOption(new Option('--words', 'complete the words after --').hideHelp())
    .allowExcessArguments()
    .action(async (typed: string | undefined, { words = false }: { words?: boolean }, { args }: Command) => {
      const shell = shells.find((known) => known === typed && args.length === 1)
      if (!words && shell === undefined) {
        throw new UserError(`completion: expected the name of one shell: ${shells.join(', ')}`)
      }
      const { completion, completeWords } = await import('./completion.ts')
      if (shell === undefined || words) completeWords(program, args)
      else completion(shell)
    })
}
