import { Command, CommanderError, Help, Option } from 'commander'
import { DEFAULT_FILE } from '../config/source/nearest-file.ts'
import { packageVersion } from '../config/variables.ts'
import { addNames, dependenciesOption } from './commands/command.ts'
import { addControlCommands } from './commands/control.ts'
import { addCompletion, addFileCommands } from './commands/file.ts'
import { addRun, brokerOption } from './commands/run.ts'
import { effectiveOptions, refuseIneffective, unknownCommand, usageError } from './commands/usage.ts'

const examples = `
Examples:
  ponix-orchestrator init                   write a first commonplace.json
  ponix-orchestrator validate               check the file, run nothing
  ponix-orchestrator                        run everything in ./commonplace.json
  ponix-orchestrator --only web,api         run two processes of it
  ponix-orchestrator -c dev.json -d         run another file in the background
  ponix-orchestrator status                 in another terminal: show what runs
  ponix-orchestrator logs -f api worker     follow the output of two processes
  ponix-orchestrator restart api            restart a process

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
    throw unknownCommand(program, args[args.indexOf('help') + 1] ?? '')
  }
}

function buildProgram(): Command {
  const program: Command = new Command('ponix-orchestrator')
    .description('Starts the processes of a JSON file in the order of their dependencies and keeps them running.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .addOption(
      new Option('-c, --config <path>', 'the file that defines the processes').default(
        DEFAULT_FILE,
        `${DEFAULT_FILE} in this folder or above`,
      ),
    )
    .option(
      '--only <names>',
      'only these processes, without their dependencies (a list with commas; repeatable)',
      addNames,
    )
    .option('--disable <names>', 'not these processes (a list with commas; repeatable)', addNames)
    .option('--profile <names>', 'also the processes of these profiles (a list with commas; repeatable)', addNames)
    // The program parses these options before and after every command; the help of the commands that use them shows them.
    .addOption(brokerOption().hideHelp())
    .addOption(dependenciesOption().hideHelp())
    .addHelpText('after', examples)
    .hook('preAction', (_, command) => refuseIneffective(program, command))
    .configureOutput({ outputError: () => undefined, writeErr: () => undefined })
    // Without a command `run` is executed, so the help of the program shows the options of `run` too.
    .configureHelp({
      showGlobalOptions: true,
      visibleOptions: (command) => visibleOptions(command === program ? [program, run] : [command]),
      visibleGlobalOptions: (command) =>
        command === program ? [] : effectiveOptions(program, command).filter(({ hidden }) => !hidden),
    })
  // Commands inherit these settings.
  const run = addRun(program)
  addFileCommands(program)
  addCompletion(program)
  addControlCommands(program)
  for (const command of [program, ...program.commands]) command.exitOverride((error) => refuse(command, error))
  return program
}

/** Throws the error of a command's arguments, or the error with which commander ends after it has printed a help. */
function refuse(command: Command, error: CommanderError): never {
  throw error.exitCode === 0 || error.code === 'commander.help' ? error : usageError(command, error)
}

/** Returns the options that the help of these commands shows: --help is the last one. */
function visibleOptions(commands: readonly Command[]): Option[] {
  const all = commands.flatMap((command) => new Help().visibleOptions(command))
  const isHelp = ({ long }: Option) => long === '--help'
  return [...all.filter((option) => !isHelp(option)), ...all.filter(isHelp).slice(0, 1)]
}
