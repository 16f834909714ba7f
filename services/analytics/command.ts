import { Command, InvalidArgumentError, Option } from 'commander'
import { list, replay, show } from './dead-letter-actions.ts'
import type { Selection } from './dead-letter-actions.ts'
import type { AnalyticsEnvironment } from './environment.ts'

const COMMANDS = 'expected run or dead-letters'

/** `ponix-analytics [run|dead-letters]`. Its actions reject with what went wrong. */
export function analyticsCommand(environment: AnalyticsEnvironment, run: () => Promise<unknown>): Command {
  const program = new Command('ponix-analytics')
    .description('Turns the bytes of devices into JSON, and the JSON into rows of ClickHouse')
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
    .option('--print-config', 'prints the environment in force, secrets masked, and exits')
  program
    .command('run', { isDefault: true })
    .copyInheritedSettings(program)
    .description('runs the service')
    .argument('[]')
    .action(async (unknown: string | undefined) => {
      if (unknown !== undefined) program.error(`unknown command ${JSON.stringify(unknown)}: ${COMMANDS}`)
      await run()
    })
  addDeadLetters(program, environment)
  return program
}

interface Json {
  readonly json?: true
}

function addDeadLetters(program: Command, environment: AnalyticsEnvironment): void {
  const letters = program
    .command('dead-letters')
    .copyInheritedSettings(program)
    .description('shows the messages that could not go on, and sends them again')
  const add = (name: string, description: string): Command =>
    letters.command(name).copyInheritedSettings(program).description(description)
  withFilters(add('list', 'the oldest first, with the reason and the payload'))
    .option('--json', 'one JSON object a line')
    .action(({ json, ...selection }: Selection & Json) => list(environment, selection, json === true))
  add('show', 'one of them, with all of its content')
    .argument('<sequence>', 'its number in the list', wholeNumber)
    .option('--json', 'as JSON')
    .action((sequence: number, { json }: Json) => show(environment, sequence, json === true))
  const again = withFilters(add('replay', 'sends them again on their subjects; each is removed when its stream has it'))
  again
    .argument('[sequences...]', 'their numbers in the list', collectNumbers)
    .option('--all', 'all that there are now')
    .option('--json', 'one JSON object a line')
    .action((sequences: readonly number[], { json, all, ...selection }: Selection & Json & { all?: true }) => {
      const ways = [sequences.length > 0, Object.keys(selection).length > 0, all === true].filter(Boolean)
      if (ways.length !== 1)
        again.error('error: expected numbers of dead letters, or filters, or --all; one of the three')
      return replay(environment, sequences.length > 0 ? sequences : selection, json === true)
    })
}

function withFilters(command: Command): Command {
  return command
    .option('--organization <id>', 'envelopes of this organization')
    .option('--end-device <id>', 'envelopes of this device')
    .option('--reason <text>', 'the reason contains this, whatever the case')
    .option('--stream <name>', 'messages of this stream', streamName)
    .addOption(
      new Option('--since <time>', 'dead since then: 90s, 15m, 2h, 7d ago, or 2026-01-02T03:04:05Z').argParser(timeOf),
    )
    .option('--limit <count>', 'so many at most, the oldest first', wholeNumber)
}

function wholeNumber(text: string): number {
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('expected a whole number from 1.')
}

function collectNumbers(text: string, before: readonly number[] = []): readonly number[] {
  return [...before, wholeNumber(text)]
}

function streamName(text: string): string {
  if (/^[A-Za-z0-9_-]{1,128}$/.test(text)) return text
  throw new InvalidArgumentError('expected a name of letters, digits, _ and -.')
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

function timeOf(text: string): Date {
  const [, count, unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  const isInstant = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(text)
  const time = new Date(count === undefined ? text : Date.now() - Number(count) * (UNIT_MS[unit] ?? 0))
  if ((count !== undefined || isInstant) && !Number.isNaN(time.getTime())) return time
  throw new InvalidArgumentError('expected 90s, 15m, 2h or 7d, or a time such as 2026-01-02T03:04:05Z.')
}
