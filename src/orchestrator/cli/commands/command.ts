import { existsSync } from 'node:fs'
import { type Command, type CommandOptions, Option } from 'commander'
import { nearestName, UserError } from '../../config/errors.ts'
import { ownCommand } from '../../config/own-command.ts'
import { nearestFile } from '../../config/source/nearest-file.ts'
import type { FileOptions, GraphFormat } from '../options.ts'
import type { LineOptions } from './output.ts'

/** Returns the options as typed. Without `--config`, the file is the nearest one that exists, in the working directory or above. */
export function fileOptions(program: Command, exists: (path: string) => boolean = existsSync): FileOptions {
  const typed = typedFileOptions(program)
  return program.getOptionValueSource('config') === 'default' ? { ...typed, config: nearestFile({ exists }) } : typed
}

/** Returns the options as typed. Without `--config`, the file is in the working directory. */
export function typedFileOptions(program: Command): FileOptions {
  return { only: [], disable: [], profile: [], ...program.opts<Pick<FileOptions, 'config'> & Partial<FileOptions>>() }
}

/**
 * Adds the names of a comma-separated list to those of earlier options. A text without names is added unchanged, so that it is
 * reported as unknown.
 */
export function addNames(typed: string, before: readonly string[] | false = []): readonly string[] {
  const names = typed
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
  return [...(before === false ? [] : before), ...(names.length === 0 ? [typed] : names)]
}

/** `subject` begins the description. */
export function dependenciesOption(subject = 'also'): Option {
  return new Option('--with-dependencies', `${subject} everything that they depend on`)
}

/** The options of all commands without arguments. */
interface PlainOptions extends LineOptions {
  readonly logFormat?: 'text' | 'json'
  readonly abortOnExit?: true
  readonly exitCodeFrom?: string
  readonly watch?: readonly string[] | false
  readonly detach?: true
  readonly wait?: true
  readonly logFile?: string
  readonly detached?: true
  readonly format?: GraphFormat
  readonly json?: true
  readonly showEnv?: string
  readonly from?: string
  readonly print?: true
  readonly strict?: true
  /** False with `--no-keys`. */
  readonly keys?: boolean
}

/** Adds a command without arguments. */
export function addPlainCommand(
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
    throw new UserError(`write the command first: ${ownCommand(`${first} …`)}`)
  }
  throw unknownCommand(program, first)
}

export function unknownCommand(program: Command, name: string): UserError {
  const names = program.commands.map((known) => known.name())
  const nearest = nearestName(name, names)
  const hint = nearest === null ? `the commands are ${names.join(', ')}` : `did you mean "${nearest}"?`
  return new UserError(`unknown command "${name}"; ${hint}`)
}
