import { type Command, type CommanderError, Option } from 'commander'
import { UserError } from '../../config/errors.ts'
import { nameHint, nearestName } from '../../config/nearest-name.ts'
import { ownCommand } from '../../config/own-command.ts'
import { redact } from '../../config/redact.ts'
import type { FileOptions } from '../options.ts'

/** Returns an option that has one of these values. */
export function choiceOption(flags: string, description: string, values: readonly string[]): Option {
  const option = new Option(flags, description).choices(values)
  return option.argParser((typed: string) => {
    if (values.includes(typed)) return typed
    const meant = values.find((value) => typed.toLowerCase().startsWith(value)) ?? nearestName(typed, values)
    const hint = meant === null ? '' : `; did you mean "${meant}"?`
    throw new UserError(`${option.long} ${JSON.stringify(redact(typed))}: expected ${alternatives(values)}${hint}`)
  })
}

/** Renders `text, dot or json`. */
export function alternatives(values: readonly string[]): string {
  return values.length < 2 ? values.join('') : `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`
}

/** Commands of other tools, with the own command that does the same. */
const otherTools: ReadonlyMap<string, string> = new Map([
  ['up', 'run'],
  ['ps', 'status'],
])

export function unknownCommand(program: Command, name: string): UserError {
  const names = program.commands.map((known) => known.name())
  const own = otherTools.get(name)
  if (own !== undefined) return new UserError(`unknown command "${name}"; did you mean "${own}"?`)
  return new UserError(`unknown command "${name}"; ${nameHint(name, 'the commands are', names)}`)
}

/** Returns the error for the arguments of a command that commander rejects. */
export function usageError(command: Command, { code, message }: CommanderError): UserError {
  const text = redact(message.replace(/^error: /, ''))
  if (code === 'commander.missingArgument') return new UserError(describeMissing(command))
  if (code === 'commander.excessArguments') return new UserError(describeExcess(command))
  return new UserError(
    text
      .replace(/^option '(?:-\w, )?(--[\w-]+) (<.*>)' argument missing$/, '$1 needs a value: $1 $2')
      .replace(/^unknown option '(--[\w-]+)'\s*\(Did you mean \1\?\)/, '$1 is an option of run, not of this command')
      .replace(/^(unknown option '--lines')$/, command.name() === 'logs' ? '$1; use --tail' : '$1')
      .replace(/^(unknown option '[^']*')$/, `$1; see: ${ownCommand([...pathOf(command), '--help'].join(' '))}`)
      .replace(/\s*\n\(Did you mean /, ' (did you mean '),
  )
}

/** Returns the words that call a command. */
function pathOf(command: Command): readonly string[] {
  return command.parent === null ? [] : [command.name()]
}

/** The first argument is missing, because no command requires a second one. */
function describeMissing(command: Command): string {
  const [argument] = command.registeredArguments
  const { argChoices, description } = argument ?? { description: '' }
  const name = `<${argument?.name()}${argument?.variadic === true ? '...' : ''}>`
  return `${command.name()} needs ${name}: ${argChoices === undefined ? description : alternatives(argChoices)}`
}

/** Describes arguments that a command does not take. */
export function describeExcess(command: Command): string {
  const { length } = command.registeredArguments
  const excess = command.args.slice(length)
  const limit = length === 0 ? 'no arguments' : `at most ${length === 1 ? 'one argument' : `${length} arguments`}`
  return `${command.name()} takes ${limit}, got "${redact(command.args.join(' '))}"${adviceFor(command, excess)}`
}

/** Returns the advice for names of processes that a command does not take; empty if there is none. */
function adviceFor(command: Command, names: readonly string[]): string {
  const other = command.name() === 'down' ? 'stop' : command.name() === 'reload' ? 'restart' : null
  if (command.name() === 'run') {
    return `; to run single processes, use: ${ownCommand(`run --only ${names.join(',')} --with-dependencies`)}`
  }
  const takesNames = command.registeredArguments[0]?.name() === 'names'
  if (other !== null) return `; to ${other} single processes, use: ${ownCommand(`${other} ${names.join(' ')}`)}`
  return takesNames ? `; write the names after the command: ${ownCommand(`${command.name()} ${names.join(' ')}`)}` : ''
}

const selection = ['only', 'withDependencies', 'disable', 'profile', 'mqttBroker'] as const

/** The options of the program that have an effect on a command, besides `--config`. */
const effective: Readonly<Record<string, readonly (keyof FileOptions)[]>> = {
  run: selection,
  validate: selection,
  graph: selection,
  export: selection,
  status: ['only'],
  start: ['withDependencies'],
}

/** Returns the options of the program that have an effect on a command. */
export function effectiveOptions(program: Command, command: Command): readonly Option[] {
  const names: readonly string[] = ['config', ...(effective[command.name()] ?? [])]
  return program.options.filter((option) => names.includes(option.attributeName()))
}

/** Throws a UserError if an option of the program was given that has no effect on the command. */
export function refuseIneffective(program: Command, command: Command): void {
  const known = effectiveOptions(program, command)
  const refused = program.options.find(
    (option) => !known.includes(option) && program.getOptionValueSource(option.attributeName()) === 'cli',
  )
  if (refused === undefined) return
  const value: unknown = program.getOptionValue(refused.attributeName())
  const advice = refused.long === '--only' && Array.isArray(value) ? adviceFor(command, value.map(String)) : ''
  throw new UserError(`${refused.long} has no effect on ${command.name()}${advice === '' ? '; leave it out' : advice}`)
}
