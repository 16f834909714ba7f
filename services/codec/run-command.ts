import { InvalidArgumentError, Option, type Command } from 'commander'
import type { EnvelopeContext } from '../../src/codecs/evaluation.ts'
import type { Codec } from '../../src/domain/codecs/codec.ts'
import { isJsonList } from '../../src/domain/entities.ts'
import { StartupError } from '../../src/domain/errors.ts'
import { fromRfc3339, now, toRfc3339, type Instant } from '../../src/domain/instant.ts'
import type { CodecOutcome } from '../../src/domain/ports.ts'
import { storedResult } from '../../src/domain/codecs/reading.ts'
import { print } from '../../src/runner/print.ts'
import { readCodec } from './codec-file.ts'
import { createRunner } from './codec-runner.ts'
import { rejectFileErrors } from './located-document.ts'

interface RunOptions {
  readonly hex?: Uint8Array
  readonly base64?: Uint8Array
  readonly port?: number
  readonly receivedAt?: Instant
  readonly json?: true
}

/** Adds `ponix-codec run`. */
export function addRunCommand(program: Command, environment: () => unknown): void {
  const command = program.command('run')
  command
    .description('run a codec on one payload and print its readings')
    .argument('<codec>', 'a .cel or .js file, or cayenne_lpp')
    .option('--hex <bytes>', 'the payload in hexadecimal digits', hexBytes)
    .addOption(new Option('--base64 <text>', 'the payload in base64').argParser(base64Bytes).conflicts('hex'))
    .option('--port <number>', 'the port of the LoRaWAN uplink (fPort)', portNumber)
    .option('--received-at <time>', 'the receive time (default: now)', timeOf)
    .option('--json', 'as JSON')
    .action(async (path: string, options: RunOptions) => {
      const payload = options.hex ?? options.base64
      if (payload === undefined)
        return command.error('error: expected the payload with --hex or --base64', { exitCode: 2 })
      environment()
      await rejectFileErrors(command, () => run(path, payload, options))
    })
}

async function run(path: string, payload: Uint8Array, options: RunOptions): Promise<void> {
  const { port: fPort, receivedAt = now(), json } = options
  const { codec } = await readCodec(path)
  const context = { receivedAt, uplink: fPort === undefined ? {} : { fPort } }
  const evaluation = await evaluate(codec, payload, context)
  if (json) await print([`${JSON.stringify(viewOf(evaluation, receivedAt))}\n`])
  else if (evaluation.ok) await print(textOf(evaluation, receivedAt))
  else throw new StartupError(`${path}: ${evaluation.reason}`)
  if (!evaluation.ok) process.exitCode = 1
}

async function evaluate(codec: Codec, payload: Uint8Array, context: EnvelopeContext): Promise<CodecOutcome> {
  const runner = createRunner()
  try {
    return await runner.run('', codec, payload, context)
  } finally {
    await runner.close()
  }
}

/** Returns the JSON of an evaluation. A single object is a reading at the receive time. */
function viewOf(evaluation: CodecOutcome, receivedAt: Instant) {
  if (!evaluation.ok) return { error: evaluation.reason }
  const result = storedResult(evaluation.data, receivedAt)
  const readings = isJsonList(result) ? result : [{ time: toRfc3339(receivedAt), data: result }]
  return { readings, warnings: evaluation.warnings ?? [] }
}

function* textOf(
  { data, warnings = [] }: CodecOutcome & { readonly ok: true },
  receivedAt: Instant,
): Generator<string> {
  for (const warning of warnings) process.stderr.write(`ponix-codec: warning: ${warning}\n`)
  yield `${JSON.stringify(storedResult(data, receivedAt), undefined, 2)}\n`
}

function hexBytes(text: string): Uint8Array {
  const digits = text.replaceAll(/^0x|[\s:-]/gi, '')
  if (/^([0-9a-f]{2})*$/i.test(digits)) return Buffer.from(digits, 'hex')
  throw new InvalidArgumentError('expected two hexadecimal digits for each byte, such as 0167FFE1.')
}

function base64Bytes(text: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64')
  if (withoutPadding(bytes.toString('base64')) === withoutPadding(text)) return bytes
  throw new InvalidArgumentError('expected base64, such as AWf/4Q==.')
}

function withoutPadding(base64: string): string {
  return base64.replace(/=+$/, '')
}

function portNumber(text: string): number {
  if (/^\d{1,3}$/.test(text) && Number(text) <= 255) return Number(text)
  throw new InvalidArgumentError('expected a number from 0 to 255.')
}

function timeOf(text: string): Instant {
  const instant = fromRfc3339(text)
  if (instant !== null) return instant
  throw new InvalidArgumentError('expected a time such as 2026-01-02T03:04:05Z.')
}
