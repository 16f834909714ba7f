import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command, CommanderError } from 'commander'
import { z } from 'zod'
import { EnvironmentError, StartupError, messageOf } from '../domain/errors.ts'
import { maskUrlSecrets } from '../domain/secrets.ts'
import { describeEnvironment, parseEnvironment, type Environment } from './environment.ts'

export interface Program<Schema extends z.ZodObject> {
  /** The command: `ponix-cdc`. Every error line starts with it. */
  readonly name: string
  /** The description for `--help`. */
  readonly description: string
  readonly environment: Schema
  /** Runs the program without a subcommand. With subcommands it is also called `run`. */
  readonly run?: (environment: Environment<Schema>) => Promise<unknown>
  /** Adds subcommands; only their actions must call `environment`, which throws if a variable is invalid. */
  readonly addCommands?: (program: Command, environment: () => Environment<Schema>) => void
}

/**
 * Runs the `main.ts` of a program in one call. Checks first the arguments, then the environment, before any action.
 * `--help` and `--version` exit with 0. A wrong argument is one line on stderr and exit code 2, wrong variables are
 * one line each and exit code 2, any other error is one line and exit code 1; with PONIX_LOG_LEVEL=debug or trace an
 * unexpected error shows its stack too.
 */
export async function runProgram<Schema extends z.ZodObject>(definition: Program<Schema>): Promise<void> {
  const { name, environment: schema, run, addCommands } = definition
  const environment = (): Environment<Schema> => parseEnvironment(schema, process.env)
  const program = newCommand(definition)
  program.hook('preAction', (_program, command) => {
    refuseExcessArguments(program, command)
    if (program.opts()['printConfig'] !== true) return
    environment()
    process.stdout.write(describeEnvironment(schema, process.env))
    process.exit(0)
  })
  const main = run === undefined || addCommands === undefined ? program : program.command('run', { isDefault: true })
  if (main !== program) main.description('run the service (default)')
  main.action(async () => void (await (run?.(environment()) ?? program.help({ error: true }))))
  addCommands?.(program, environment)
  try {
    await program.parseAsync()
  } catch (error) {
    process.exit(reportFailure(name, error))
  }
}

function newCommand({ name, description }: Program<z.ZodObject>): Command {
  const program = new Command(name)
    .description(description)
    .helpOption('-h, --help', 'show this help')
    .option('-V, --version', 'print the version')
    .option('--print-config', 'print the environment variables in force, secrets masked')
    .addHelpText('after', '\nConfiguration: environment variables; see docs/environment.md and --print-config.')
    // Excess arguments are rejected in a hook, which can name them.
    .allowExcessArguments()
    .exitOverride()
    .configureOutput({ outputError: () => undefined })
  return program.on('option:version', () => {
    process.stdout.write(`${packageVersion()}\n`)
    process.exit(0)
  })
}

function refuseExcessArguments(program: Command, command: Command): void {
  const { registeredArguments: expected, args } = command
  const excess = args[expected.length]
  if (excess === undefined || expected.at(-1)?.variadic === true) return
  const isCommand = program.args[0] === excess
  const commands = isCommand ? program.commands.map((each) => each.name()).join(', ') : ''
  const message =
    commands === '' ? `unexpected argument "${excess}"` : `unknown command "${excess}"; the commands are ${commands}`
  throw new CommanderError(2, 'ponix.excessArgument', message)
}

/** Writes the error to stderr and returns the exit code. */
function reportFailure(name: string, error: unknown): number {
  if (error instanceof CommanderError) {
    // Help was asked for.
    if (error.exitCode === 0) return 0
    // Without a command, the help is already on stderr.
    if (error.code !== 'commander.help') {
      process.stderr.write(`${name}: ${error.message.replace(/^error: /, '').replaceAll('\n', ' ')}\n`)
    }
    return 2
  }
  if (error instanceof EnvironmentError) {
    process.stderr.write(error.problems.map((problem) => `${name}: ${problem}\n`).join(''))
    return 2
  }
  process.stderr.write(`${name}: ${messageOf(error)}\n`)
  const detailed = ['debug', 'trace'].includes(process.env['PONIX_LOG_LEVEL'] ?? '')
  if (detailed && error instanceof Error && !(error instanceof StartupError)) {
    process.stderr.write(`${maskUrlSecrets(error.stack ?? '')}\n`)
  }
  return 1
}

/** Returns the folder of this package, both from a source file and from a bundle: a clone, or a folder below node_modules. */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json')) && folder !== dirname(folder)) folder = dirname(folder)
  return folder
}

function packageVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8'))
  return z.object({ version: z.string() }).parse(manifest).version
}
