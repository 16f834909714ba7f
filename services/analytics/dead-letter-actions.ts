import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { StartupError, ReplayError, PublishError, messageOf } from '../../src/domain/errors.ts'
import { connectNats, type NatsClient } from '../../src/nats/connection.ts'
import {
  listDeadLetters,
  replayDeadLetter,
  showDeadLetter,
  type DeadLetterFilter,
} from '../../src/nats/dead-letters.ts'
import { natsOptions } from '../../src/nats/options.ts'
import { createLoggerTo } from '../../src/runner/logger.ts'
import { isMeant, listText, showText, viewOf, type DeadLetterView, type ViewFilter } from './dead-letter-view.ts'
import type { AnalyticsEnvironment } from './environment.ts'

/** Which dead letters are meant, and how many of them at most; the oldest first. */
export interface Selection extends DeadLetterFilter, ViewFilter {
  readonly limit?: number
}

/** Prints the dead letters that are meant, one JSON object a line or three lines of text each. */
export async function list(environment: AnalyticsEnvironment, selection: Selection, asJson: boolean): Promise<void> {
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
export async function show(environment: AnalyticsEnvironment, sequence: number, asJson: boolean): Promise<void> {
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
export async function replay(
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
  const signal = AbortSignal.timeout(environment.PONIX_STARTUP_TIMEOUT_SECS)
  try {
    const stored = await replayDeadLetter(client, sequence, signal)
    if (stored === undefined) throw new ReplayError(unknown(sequence))
    if (asJson) return jsonLine({ sequence, stream: stored.stream, stream_sequence: stored.sequence })
    return `${sequence} is message ${stored.sequence} of stream ${stored.stream}\n`
  } catch (error) {
    if (signal.aborted) throw new StartupError(`NATS did not take dead letter ${sequence} in time; it stays`)
    if (!(error instanceof PublishError) && !(error instanceof ReplayError)) throw error
    process.stderr.write(`analytics: dead letter ${sequence} is not replayed: ${messageOf(error)}\n`)
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
