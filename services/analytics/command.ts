import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { InvalidArgumentError, Option, type Command } from 'commander'
import { StartupError, ReplayError, PublishError, messageOf } from '../../src/domain/errors.ts'
import { connectNats, type NatsClient, natsOptions } from '../../src/nats/connection.ts'
import {
  listDeadLetters,
  replayDeadLetter,
  showDeadLetter,
  type DeadLetterFilter,
} from '../../src/nats/dead-letters.ts'
import { createLoggerTo } from '../../src/runner/logger.ts'
import type { AnalyticsEnvironment } from './clients.ts'
import { isMeant, listText, showText, viewOf, type DeadLetterView, type ViewFilter } from './dead-letter-view.ts'

interface Json {
  readonly json?: true
}

/** `ponix-analytics dead-letters …`. The actions reject with what went wrong. */
export function addDeadLetterCommands(program: Command, environment: () => AnalyticsEnvironment): void {
  const letters = program
    .command('dead-letters')
    .description('shows the messages that could not go on, and sends them again')
  const add = (name: string, description: string): Command => letters.command(name).description(description)
  withFilters(add('list', 'the oldest first, with the reason and the payload'))
    .option('--json', 'one JSON object a line')
    .action(({ json, ...selection }: Selection & Json) => list(environment(), selection, json === true))
  add('show', 'one of them, with all of its content')
    .argument('<sequence>', 'its number in the list', wholeNumber)
    .option('--json', 'as JSON')
    .action((sequence: number, { json }: Json) => show(environment(), sequence, json === true))
  const again = withFilters(add('replay', 'sends them again on their subjects; each is removed when its stream has it'))
  again
    .argument('[sequences...]', 'their numbers in the list', collectNumbers)
    .option('--all', 'all that there are now')
    .option('--json', 'one JSON object a line')
    .action((sequences: readonly number[], { json, all, ...selection }: Selection & Json & { all?: true }) => {
      const ways = [sequences.length > 0, Object.keys(selection).length > 0, all === true].filter(Boolean)
      if (ways.length !== 1)
        again.error('error: expected numbers of dead letters, or filters, or --all; one of the three')
      return replay(environment(), sequences.length > 0 ? sequences : selection, json === true)
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

/** Which dead letters are meant, and how many of them at most; the oldest first. */
export interface Selection extends DeadLetterFilter, ViewFilter {
  readonly limit?: number
}

/** Prints the dead letters that are meant, one JSON object a line or three lines of text each. */
async function list(environment: AnalyticsEnvironment, selection: Selection, asJson: boolean): Promise<void> {
  await withNats(environment, async (client) => {
    await print(listed(client, environment, selection, asJson))
  })
}

async function* listed(
  client: NatsClient,
  environment: AnalyticsEnvironment,
  selection: Selection,
  asJson: boolean,
): AsyncGenerator<string> {
  for await (const view of selected(client, environment, selection)) yield asJson ? jsonLine(view) : listText(view)
}

/** Prints one dead letter with all of its content. Throws a StartupError when there is none of that number. */
async function show(environment: AnalyticsEnvironment, sequence: number, asJson: boolean): Promise<void> {
  await withNats(environment, async (client) => {
    const letter = await showDeadLetter(client, sequence)
    if (letter === undefined) throw new StartupError(unknown(sequence))
    const view = viewOf(letter, streamsOf(environment))
    await print(asJson ? [jsonLine(view)] : [showText(view)])
  })
}

/**
 * Replays the dead letters of these numbers, or those that are meant. One that cannot be replayed is a line on stderr, stays,
 * and does not keep the others from it; the exit code is 1 then.
 */
async function replay(
  environment: AnalyticsEnvironment,
  which: readonly number[] | Selection,
  asJson: boolean,
): Promise<void> {
  await withNats(environment, async (client) => {
    await print(replayed(client, environment, which, asJson))
  })
}

async function* replayed(
  client: NatsClient,
  environment: AnalyticsEnvironment,
  which: readonly number[] | Selection,
  asJson: boolean,
): AsyncGenerator<string> {
  let done = 0
  let failed = 0
  for await (const sequence of 'map' in which ? which : sequencesOf(selected(client, environment, which))) {
    const line = await replayOne(client, environment, sequence, asJson)
    if (line === undefined) failed++
    else done++
    if (line !== undefined) yield line
  }
  if (failed > 0) process.exitCode = 1
  if (!asJson) yield failed === 0 ? `${done} replayed\n` : `${done} replayed, ${failed} not\n`
}

async function* sequencesOf(views: AsyncIterable<DeadLetterView>): AsyncGenerator<number> {
  for await (const { sequence } of views) yield sequence
}

/** Undefined, and a line on stderr, for one that cannot be replayed. */
async function replayOne(
  client: NatsClient,
  environment: AnalyticsEnvironment,
  sequence: number,
  asJson: boolean,
): Promise<string | undefined> {
  const signal = AbortSignal.timeout(environment.PONIX_STARTUP_TIMEOUT_MS)
  try {
    const stored = await replayDeadLetter(client, sequence, signal)
    if (stored === undefined) throw new ReplayError(unknown(sequence))
    if (asJson) return jsonLine({ sequence, stream: stored.stream, stream_sequence: stored.sequence })
    return `${sequence} is message ${stored.sequence} of stream ${stored.stream}\n`
  } catch (error) {
    if (signal.aborted) throw new StartupError(`NATS did not take dead letter ${sequence} in time; it stays`)
    if (!(error instanceof PublishError) && !(error instanceof ReplayError)) throw error
    process.stderr.write(`ponix-analytics: dead letter ${sequence} is not replayed: ${messageOf(error)}\n`)
    return undefined
  }
}

async function* selected(
  client: NatsClient,
  environment: AnalyticsEnvironment,
  selection: Selection,
): AsyncGenerator<DeadLetterView> {
  const { limit = Infinity } = selection
  let found = 0
  for await (const letter of listDeadLetters(client, selection)) {
    const view = viewOf(letter, streamsOf(environment))
    if (!isMeant(view, selection)) continue
    yield view
    if (++found >= limit) return
  }
}

function streamsOf(environment: AnalyticsEnvironment) {
  return { raw: environment.PONIX_NATS_RAW_STREAM, processed: environment.PONIX_PROCESSED_ENVELOPES_STREAM }
}

function unknown(sequence: number): string {
  return `there is no dead letter ${sequence}; ponix-analytics dead-letters list shows those that there are`
}

/** What is said of the connection goes to stderr: stdout is for what was asked for. */
async function withNats(environment: AnalyticsEnvironment, work: (client: NatsClient) => Promise<void>): Promise<void> {
  const logger = createLoggerTo(process.stderr, 'analytics', 'warn')
  const client = await connectNats(natsOptions(environment, { name: 'ponix-analytics dead-letters', logger }))
  try {
    await work(client)
  } finally {
    await client.drain()
  }
}

/** As fast as it is read; an end of the reading (`| head`) is the end of the work and no error. */
async function print(texts: Iterable<string> | AsyncIterable<string>): Promise<void> {
  try {
    await pipeline(Readable.from(texts), process.stdout, { end: false })
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error) || error.code !== 'EPIPE') throw error
  }
}

function jsonLine(value: object): string {
  return `${JSON.stringify(value)}\n`
}
