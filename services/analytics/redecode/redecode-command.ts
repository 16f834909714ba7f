import { type Command, InvalidArgumentError } from 'commander'
import { EvaluationPool } from '../../../src/codecs/pool/evaluation-pool.ts'
import { fromRfc3339, now, toRfc3339, type Instant } from '../../../src/domain/instant.ts'
import { listDeadLetters } from '../../../src/nats/dead-letters.ts'
import { subjectToken } from '../../../src/nats/publisher/publication.ts'
import { messagesOf } from '../../../src/nats/subject-messages.ts'
import { createCommandLogger } from '../../../src/runner/logger.ts'
import { type AnalyticsEnvironment, openClients } from '../clients.ts'
import { matches, viewOf } from '../dead-letter-view.ts'
import { DeviceDirectory, type DeviceLookup } from '../device-directory.ts'
import { RawEnvelopeProcessor } from '../raw-envelope-processor.ts'
import { EnvelopesInProgress, type EnvelopesInProgressParts } from './envelopes-in-progress.ts'
import { redecode, type RedecodeResult } from './redecode.ts'

interface RedecodeCommandOptions {
  readonly device: string
  readonly from?: Instant
  readonly to?: Instant
  readonly yes?: true
  readonly wait: number
  readonly json?: true
}

/** Adds the command `ponix-analytics redecode`. */
export function addRedecodeCommand(program: Command, environment: () => AnalyticsEnvironment, workerUrl: URL): void {
  program
    .command('redecode')
    .description(
      'decode the raw envelopes of a device that the stream still holds with its codec of today; a preview without --yes',
    )
    .requiredOption('--device <id>', 'the device')
    .option('--from <time>', 'received at or after this time, such as 2026-01-02T03:04:05Z', timeOf)
    .option('--to <time>', 'received before this time', timeOf)
    .option('--yes', 'replace the rows')
    .option('--wait <seconds>', 'with --yes: how long to wait for envelopes in progress; 0: not at all', secondsOf, 300)
    .option('--json', 'print one JSON object')
    .action((options: RedecodeCommandOptions) => run(environment(), options, workerUrl))
}

function timeOf(text: string): Instant {
  const time = fromRfc3339(text)
  if (time === null) throw new InvalidArgumentError('expected a time such as 2026-01-02T03:04:05Z.')
  return time
}

function secondsOf(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError('expected a whole number of seconds.')
  return Number(text)
}

async function run(environment: AnalyticsEnvironment, options: RedecodeCommandOptions, workerUrl: URL): Promise<void> {
  const { device: endDeviceId, from, to, yes, json } = options
  const signal = new AbortController().signal
  const clients = await openClients(environment, createCommandLogger('ponix-analytics'))
  const { PONIX_ANALYTICS_WORKERS: workers, PONIX_ANALYTICS_WORKER_MEMORY_MB: memoryLimitMb } = environment
  const pool = new EvaluationPool({ workerUrl, workers, memoryLimitMb })
  try {
    await pool.start()
    const rawStream = environment.PONIX_NATS_RAW_STREAM
    const release = (dataBytes: number): void => pool.release(dataBytes)
    const directory = new DeviceDirectory({ ...clients, cdcAvailable: () => false })
    const processor = new RawEnvelopeProcessor({
      lookUp: (deviceId, signal) => directory.lookUp(deviceId, signal),
      evaluate: (task) => pool.evaluate(task),
      release,
      now,
      onDeviceWithoutExpression: () => {},
    })
    const messages = messagesOf(clients.nats, rawStream, `raw_envelopes.${subjectToken(endDeviceId)}`)
    const found = await directory.lookUp(endDeviceId, signal)
    const begun = await begunBy({ ...clients, environment }, found, options, signal)
    const parts = { ...clients, processor, release, rawStream }
    const choice = { endDeviceId, from, to, begun, isApplied: yes === true }
    const result = await redecode(parts, messages, choice, signal)
    const letters = await countDeadLetters(clients, environment, options)
    process.stdout.write(json ? jsonOf(options, result, letters) : textOf(options, result, letters))
  } finally {
    await pool[Symbol.asyncDispose]()
    for (const close of Object.values(clients.closers)) await close()
  }
}

/** Returns the sequence up to which analytics has begun the raw envelopes, and before a replacement also finished those of the device. */
async function begunBy(
  parts: EnvelopesInProgressParts,
  found: DeviceLookup,
  { device: endDeviceId, yes, wait }: RedecodeCommandOptions,
  signal: AbortSignal,
): Promise<number> {
  if (found.kind !== 'known') return Infinity
  const inProgress = new EnvelopesInProgress(parts, { endDeviceId, organizationId: found.organizationId })
  if (yes !== true || wait === 0) return await inProgress.begun()
  return await inProgress.untilFinished(wait * 1000, signal)
}

/** Returns the number of dead letters of the device in the range; a replay of them changes no row that redecode has written. */
async function countDeadLetters(
  { nats }: Awaited<ReturnType<typeof openClients>>,
  environment: AnalyticsEnvironment,
  { device: endDevice, from, to }: RedecodeCommandOptions,
): Promise<number> {
  const streams = { raw: environment.PONIX_NATS_RAW_STREAM, processed: environment.PONIX_PROCESSED_ENVELOPES_STREAM }
  let count = 0
  for await (const letter of listDeadLetters(nats)) {
    const view = viewOf(letter, streams)
    if (!matches(view, { endDevice })) continue
    const receivedAt = view.occurred_at === null ? null : fromRfc3339(view.occurred_at)
    if (receivedAt === null || receivedAt < (from ?? receivedAt) || (to !== undefined && receivedAt >= to)) continue
    count += 1
  }
  return count
}

/** Returns the reasons with their numbers, the commonest first. */
function reasonsOf({ failures }: RedecodeResult): readonly (readonly [reason: string, count: number])[] {
  return [...failures].toSorted(([, a], [, b]) => b - a)
}

function jsonOf({ device, yes }: RedecodeCommandOptions, result: RedecodeResult, letters: number): string {
  const { envelopes, notBegun, rows, example } = result
  const failures = reasonsOf(result).map(([reason, count]) => ({ reason, count }))
  const shown = example && { ...example, occurredAt: undefined, occurred_at: toRfc3339(example.occurredAt) }
  const counts = { envelopes, left_to_analytics: notBegun, rows, failures, dead_letters: letters }
  const answer = { device, replaced: yes === true, ...counts, example: shown }
  return `${JSON.stringify(answer)}\n`
}

function textOf({ device, yes }: RedecodeCommandOptions, result: RedecodeResult, letters: number): string {
  const { envelopes, notBegun, rows, example } = result
  const failed = [...result.failures.values()].reduce((sum, count) => sum + count, 0)
  const [commonest] = reasonsOf(result)
  const lines = [
    `Device ${device}: ${envelopes} raw envelopes`,
    ...(notBegun === 0 ? [] : [`${notBegun} further ones, which analytics has not begun, are left to it`]),
    `rows: ${rows.equal} equal, ${rows.changed} changed, ${rows.new} new, ${rows.vanished} vanished`,
    `failed, rows kept: ${failed}${commonest === undefined ? '' : `; the commonest reason: ${commonest[0]}`}`,
    ...(example === null
      ? []
      : [`example of ${toRfc3339(example.occurredAt)}`, `  ${example.before}`, `  ${example.after}`]),
    ...(letters === 0 ? [] : [`${letters} dead letters of the device: replay them with dead-letters replay`]),
    yes === true ? 'The rows are replaced.' : 'Nothing is changed: replace the rows with --yes.',
  ]
  return `${lines.join('\n')}\n`
}
