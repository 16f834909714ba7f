import { InvalidArgumentError, type Command } from 'commander'
import { StartupError, ReplayError, PublishError, messageOf } from '../../src/domain/errors.ts'
import { connectNats, type NatsClient, natsOptions } from '../../src/nats/connection.ts'
import { listDeadLetters, replayDeadLetter, showDeadLetter } from '../../src/nats/dead-letters.ts'
import type { DeadLetterFilter, ReplayOptions } from '../../src/nats/dead-letters.ts'
import { createCommandLogger } from '../../src/runner/logger.ts'
import { print } from '../../src/runner/print.ts'
import type { AnalyticsEnvironment } from './clients.ts'
import { DeadLetterAddresses } from './dead-letter-addresses.ts'
import { listText, matches, showText, viewOf } from './dead-letter-view.ts'
import type { DeadLetterView, EnvelopeStreams, ViewFilter } from './dead-letter-view.ts'
import { timeoutSignal } from '../../src/runner/timeout-signal.ts'

/** The filters of a command; `limit` is the maximum number of dead letters, oldest first. */
interface Selection extends DeadLetterFilter, ViewFilter {
  readonly limit?: number
}

interface Json {
  readonly json?: true
}

/** Adds the commands `ponix-analytics dead-letters …`. */
export function addDeadLetterCommands(program: Command, environment: () => AnalyticsEnvironment): void {
  const letters = program.command('dead-letters').description('list, show and replay dead letters')
  const add = (name: string, description: string): Command => letters.command(name).description(description)
  withFilters(add('list', 'list dead letters, oldest first, with reason and payload'))
    .option('--json', 'one JSON object per line')
    .action(({ json, ...selection }: Selection & Json) =>
      printFromNats(environment(), async function* (client, streams) {
        for await (const view of select(client, streams, selection)) yield json ? jsonLine(view) : listText(view)
      }),
    )
  add('show', 'show one dead letter in full')
    .argument('<sequence>', 'its number in the list', wholeNumber)
    .option('--json', 'as JSON')
    .action((sequence: number, { json }: Json) =>
      printFromNats(environment(), async function* (client, streams) {
        const letter = await showDeadLetter(client, sequence)
        if (letter === undefined) throw new StartupError(missing(sequence))
        const view = viewOf(letter, streams)
        yield json ? jsonLine(view) : showText(view)
      }),
    )
  const replayCommand = withFilters(
    add('replay', 'publish dead letters again on their subjects; each is deleted once its stream has stored it'),
  )
  replayCommand
    .argument('[sequences...]', 'their numbers in the list', collectNumbers)
    .option('--all', 'all current dead letters')
    .option('--json', 'one JSON object per line')
    .action((sequences: readonly number[], { json, all, ...selection }: Selection & Json & { all?: true }) => {
      const ways = [sequences.length > 0, Object.keys(selection).length > 0, all === true].filter(Boolean)
      if (ways.length !== 1) replayCommand.error('expected exactly one of: numbers of dead letters, filters, --all')
      const env = environment()
      return printFromNats(env, async function* (client, streams) {
        const addresses = new DeadLetterAddresses(env, createCommandLogger('ponix-analytics'))
        const chosen = sequences.map((sequence) => ({ sequence }))
        const letters = chosen.length > 0 ? chosen : select(client, streams, selection)
        const options = { address: addresses.address, timeoutMs: env.PONIX_STARTUP_TIMEOUT_MS }
        try {
          yield* replay(client, letters, options, json === true)
        } finally {
          await addresses.close()
        }
      })
    })
}

function withFilters(command: Command): Command {
  return command
    .option('--organization <id>', 'envelopes of this organization')
    .option('--end-device <id>', 'envelopes of this device')
    .option('--reason <text>', 'the reason contains this text, ignoring case')
    .option('--stream <name>', 'messages of this stream', streamName)
    .option('--since <time>', 'dead since this time: 90s, 15m, 2h, 7d ago, or 2026-01-02T03:04:05Z', timeOf)
    .option('--limit <count>', 'at most this many, oldest first', wholeNumber)
}

function wholeNumber(text: string): number {
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('expected a whole number of 1 or more, at most 15 digits.')
}

function collectNumbers(text: string, before: readonly number[] = []): readonly number[] {
  return [...before, wholeNumber(text)]
}

function streamName(text: string): string {
  if (/^[A-Za-z0-9_-]{1,128}$/.test(text)) return text
  throw new InvalidArgumentError('expected 1 to 128 letters, digits, _ or -.')
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

function timeOf(text: string): Date {
  const [, count, unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  const isInstant = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(text)
  const time = new Date(count === undefined ? text : Date.now() - Number(count) * (UNIT_MS[unit] ?? 0))
  if ((count !== undefined || isInstant) && !Number.isNaN(time.getTime())) return time
  throw new InvalidArgumentError(
    'expected a duration such as 90s, 15m, 2h or 7d, or a time such as 2026-01-02T03:04:05Z.',
  )
}

/** Prints the texts of work that uses NATS. Logs go to stderr. */
async function printFromNats(
  environment: AnalyticsEnvironment,
  work: (client: NatsClient, streams: EnvelopeStreams) => AsyncIterable<string>,
): Promise<void> {
  const options = { name: 'ponix-analytics dead-letters', logger: createCommandLogger('ponix-analytics') }
  const client = await connectNats(natsOptions(environment, options))
  try {
    const streams = { raw: environment.PONIX_NATS_RAW_STREAM, processed: environment.PONIX_PROCESSED_ENVELOPES_STREAM }
    await print(work(client, streams))
  } finally {
    await client.drain()
  }
}

interface ReplayCommandOptions extends Required<Pick<ReplayOptions, 'address'>> {
  readonly timeoutMs: number
}

/** Replays dead letters. A failed replay is one line on stderr and exit code 1, and does not stop the others. */
async function* replay(
  client: NatsClient,
  letters: Iterable<{ readonly sequence: number }> | AsyncIterable<DeadLetterView>,
  options: ReplayCommandOptions,
  asJson: boolean,
): AsyncGenerator<string> {
  let done = 0
  let failed = 0
  for await (const { sequence } of letters) {
    const line = await replayOne(client, sequence, options, asJson)
    if (line === undefined) failed++
    else {
      done++
      yield line
    }
  }
  if (failed > 0) process.exitCode = 1
  if (!asJson) yield failed === 0 ? `${done} replayed\n` : `${done} replayed, ${failed} failed\n`
}

/** Replays a dead letter; returns undefined, and writes a line to stderr, if it cannot be replayed. */
async function replayOne(
  client: NatsClient,
  sequence: number,
  { address, timeoutMs }: ReplayCommandOptions,
  asJson: boolean,
): Promise<string | undefined> {
  const signal = timeoutSignal(timeoutMs)
  try {
    const stored = await replayDeadLetter(client, sequence, { signal, address })
    if (stored === undefined) throw new ReplayError(missing(sequence))
    if (asJson) return jsonLine({ sequence, stream: stored.stream, stream_sequence: stored.sequence })
    return `${sequence}: replayed as message ${stored.sequence} of stream ${stored.stream}\n`
  } catch (error) {
    if (signal.aborted) throw new StartupError(`NATS did not store dead letter ${sequence} in time; it is not deleted`)
    if (!(error instanceof PublishError) && !(error instanceof ReplayError)) throw error
    process.stderr.write(`ponix-analytics: cannot replay dead letter ${sequence}: ${messageOf(error)}\n`)
    return undefined
  }
}

async function* select(
  client: NatsClient,
  streams: EnvelopeStreams,
  selection: Selection,
): AsyncGenerator<DeadLetterView> {
  const { limit = Infinity } = selection
  let found = 0
  for await (const letter of listDeadLetters(client, selection)) {
    const view = viewOf(letter, streams)
    if (!matches(view, selection)) continue
    yield view
    if (++found >= limit) return
  }
}

function missing(sequence: number): string {
  return `dead letter ${sequence} does not exist; run ponix-analytics dead-letters list`
}

function jsonLine(value: object): string {
  return `${JSON.stringify(value)}\n`
}
