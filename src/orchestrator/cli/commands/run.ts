import { type Command, Option } from 'commander'
import { UserError } from '../../config/errors.ts'
import { ownCommand } from '../../config/own-command.ts'
import { requireSupportedPlatform } from '../platform.ts'
import { addNames, dependenciesOption, fileOptions } from './command.ts'
import { addLineOptions, type LineOptions, toPrefixOptions } from './output.ts'
import { choiceOption, describeExcess, unknownCommand } from './usage.ts'

/** The options as typed. */
interface TypedOptions extends LineOptions {
  readonly logFormat?: 'text' | 'json'
  readonly abortOnExit?: true
  readonly exitCodeFrom?: string
  readonly watch?: readonly string[] | false
  readonly detach?: true
  readonly wait?: true
  readonly logFile?: string
  readonly detached?: true
  /** False with `--no-keys`. */
  readonly keys: boolean
}

export function addRun(program: Command): Command {
  const run = program
    .command('run', { isDefault: true })
    .description('run the processes in the foreground (the default)')
    .allowExcessArguments()
    .action(async (options: TypedOptions, command: Command) => {
      refuseArguments(program, command)
      await runOrDetach(program, options)
    })
    .option('-d, --detach', 'run in the background: until "down" or a reboot, also without the terminal')
    .option('--wait', 'with --detach: wait until all processes are ready or completed')
    .option(
      '--log-file <path>',
      'write the output to this file, which is rotated at 10 MB (default with --detach: a file in ~/.local/state)',
    )
    .addOption(new Option('--detached', 'started by --detach').hideHelp())
    .addOption(
      choiceOption(
        '--log-format <format>',
        'format of the output (default: text); if given, "text" makes JSON records of processes readable even on pipes',
        ['text', 'json'],
      ),
    )
    .option('--abort-on-exit', 'stop everything when any process ends, with its exit code')
    .option('--exit-code-from <name>', 'stop everything when this process ends, with its exit code')
    .option(
      '--watch <names>',
      'restart these processes when files change, see the key "watch" (a list with commas; repeatable)',
      addNames,
    )
    .option('--no-watch', 'restart no process when files change')
    .option('--no-keys', 'do not react to keys such as r (restart) and ? (help) in a terminal')
    .addOption(dependenciesOption('the processes of --only run with'))
    .addOption(brokerOption())
  return addLineOptions(run)
}

export function brokerOption(): Option {
  return new Option('--mqtt-broker <host:port>', 'address of the MQTT broker; overrides the address in the file')
}

/** Rejects arguments: each is a mistyped command, a command after the options of `run`, or a name after `run`. */
function refuseArguments(program: Command, run: Command): void {
  const [first] = run.args
  if (first === undefined) return
  if (program.commands.some((known) => known.name() === first)) {
    throw new UserError(`write the command first: ${ownCommand(`${first} …`)}`)
  }
  // Without the word `run`, the first word is the name of a command.
  throw program.args[0] === run.name() ? new UserError(describeExcess(run)) : unknownCommand(program, first)
}

async function runOrDetach(program: Command, options: TypedOptions): Promise<void> {
  requireSupportedPlatform()
  const { detach = false, wait = false, logFormat, exitCodeFrom = null, watch = [], logFile = null } = options
  const file = fileOptions(program)
  if (detach) return (await import('../run/detach.ts')).detach(file, { exitCodeFrom, watch, logFile, wait })
  if (wait) throw new UserError('--wait needs --detach; in the foreground, use the command wait in another terminal')
  const { run } = await import('../run/run.ts')
  return run(file, {
    logFormat: logFormat ?? 'text',
    forceReadable: logFormat === 'text',
    abortOnExit: options.abortOnExit ?? false,
    exitCodeFrom,
    watch,
    prefix: toPrefixOptions(options),
    logFile,
    isDetached: options.detached ?? false,
    keys: options.keys,
  })
}
