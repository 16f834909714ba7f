import { z } from 'zod'
import type { SampleExpectation } from '../../src/domain/codecs/codec-sample.ts'
import type { JsonObject, JsonValue, Uplink } from '../../src/domain/entities.ts'
import { fromRfc3339, type Instant } from '../../src/domain/instant.ts'
import { readText } from './codec-file.ts'
import { FileError, parseLocated, type LocatedDocument } from './located-document.ts'

/** A payload with the expected result of a codec. */
export interface Sample {
  readonly name: string
  readonly file: string
  readonly line: number
  readonly payload: Uint8Array
  readonly uplink: Uplink
  /** Undefined if the file does not say when the payload was received. */
  readonly receivedAt: Instant | undefined
  readonly expectation: SampleExpectation
}

/** The samples of a file. */
export interface SampleFile {
  readonly samples: readonly Sample[]
  /** The number of samples that are not uplinks, which are not run. */
  readonly skipped: number
  /** In a `codec.yaml`, the name of the codec's file. */
  readonly codecName: string | undefined
}

const hex = z
  .string()
  .regex(/^(0x)?([0-9a-f]{2}[\s:-]?)*$/i, 'expected bytes as a list of numbers or as hexadecimal digits')
  .transform((text) => [...Buffer.from(text.replaceAll(/^0x|[\s:-]/gi, ''), 'hex')])
const BYTE = 'expected a byte from 0 to 255'
const bytes = z.union([z.array(z.int(BYTE).min(0, BYTE).max(255, BYTE)), hex], {
  error: 'expected bytes as a list of numbers from 0 to 255 or as hexadecimal digits',
})
const time = z.string().transform((text, context) => {
  const instant = fromRfc3339(text)
  if (instant !== null) return instant
  context.addIssue('expected a time such as 2026-01-02T03:04:05Z')
  return z.NEVER
})
// Rejects NaN and infinity, which JSON5 has.
const json: z.ZodType<JsonValue> = z.json()
const jsonObject: z.ZodType<JsonObject> = z.record(z.string(), json)
const result = z.union([jsonObject, z.array(json)], { error: 'expected an object, or a list of readings' }).nullish()
const texts = z.array(z.string(), { error: 'expected a list of texts' }).nullish()

const PORT = 'expected a port from 0 to 255'
const COUNTER = 'expected a frame counter from 0 to 4294967295'
const input = z.object(
  {
    bytes,
    fPort: z.int(PORT).min(0, PORT).max(255, PORT).nullish(),
    fCnt: z.int(COUNTER).min(0, COUNTER).max(4_294_967_295, COUNTER).nullish(),
    recvTime: time.nullish(),
    metadata: jsonObject.nullish(),
  },
  { error: 'expected an object with bytes and fPort' },
)
// Loose, because an output without a known key is not one of any result.
const output = z.looseObject(
  { data: result, warnings: texts, errors: texts },
  { error: 'expected an object with data or errors' },
)

/** A sample of TS013 (`type`, `description`, `output`), of ChirpStack (`name`, `expected`) or of The Things Network (`normalizedOutput`). */
const sample = z.object(
  {
    description: z.string().nullish(),
    name: z.string().nullish(),
    input,
    output: output.nullish(),
    expected: output.nullish(),
    normalizedOutput: output.nullish(),
  },
  { error: 'expected a sample: an object with input and output' },
)
const kind = z.object({ type: z.string() })
const list = z.array(z.unknown())
const codecDescription = z.object({
  uplinkDecoder: z.object({ fileName: z.string().optional(), examples: list.nullish() }),
})

/**
 * Reads samples: a list of samples in the form of TS013's `examples.json` or of ChirpStack's `test_decode_*.json`, or a `codec.yaml`
 * of The Things Network's device repository. Throws a FileError.
 */
export async function readSamples(file: string): Promise<SampleFile> {
  const document = parseLocated(file, await readText(file))
  const description = codecDescription.safeParse(document.value)
  if (description.success) {
    const { fileName, examples } = description.data.uplinkDecoder
    return { ...samplesOf(file, document, examples ?? [], ['uplinkDecoder', 'examples']), codecName: fileName }
  }
  const samples = list.safeParse(document.value)
  if (!samples.success) {
    throw new FileError(file, document.lineOf([]), 'expected a list of samples, or uplinkDecoder with examples')
  }
  return { ...samplesOf(file, document, samples.data, []), codecName: undefined }
}

function samplesOf(file: string, document: LocatedDocument, values: readonly unknown[], path: readonly PropertyKey[]) {
  const samples: Sample[] = []
  for (const [index, value] of values.entries()) {
    if (isUplink(value)) samples.push(sampleOf(file, document, value, [...path, index]))
  }
  return { samples, skipped: values.length - samples.length }
}

function isUplink(value: unknown): boolean {
  const { data } = kind.safeParse(value)
  return data === undefined || data.type === 'uplink'
}

function sampleOf(file: string, document: LocatedDocument, value: unknown, path: readonly PropertyKey[]): Sample {
  const problem = (at: readonly PropertyKey[], message: string): FileError =>
    new FileError(
      file,
      document.lineOf([...path, ...at]),
      `sample ${Number(path.at(-1)) + 1}${pathText(at)}: ${message}`,
    )
  const { data, error } = sample.safeParse(value)
  if (data === undefined) {
    const [issue] = error.issues
    throw problem(issue?.path ?? [], issue?.message ?? 'invalid')
  }
  const expectation = expectationOf(data)
  if (expectation === undefined) throw problem([], 'expected output (or expected) with data or with errors')
  const { fPort, fCnt, metadata, recvTime } = data.input
  return {
    name: data.description ?? data.name ?? `sample ${Number(path.at(-1)) + 1}`,
    file,
    line: document.lineOf(path),
    payload: Uint8Array.from(data.input.bytes),
    uplink: { ...(fPort != null && { fPort }), ...(fCnt != null && { fCnt }), ...(metadata != null && { metadata }) },
    receivedAt: recvTime ?? undefined,
    expectation,
  }
}

/** An empty output is that of any result. */
function expectationOf({ output, expected, normalizedOutput }: z.infer<typeof sample>): SampleExpectation | undefined {
  const outputs = [output, expected, normalizedOutput].filter((each) => each != null)
  const errors = outputs.flatMap((each) => each.errors ?? [])
  if (errors.length > 0) return { errors }
  const results = outputs.map(({ data }) => data).filter((data) => data != null)
  const [warnings] = outputs.flatMap((each) => (each.warnings == null ? [] : [each.warnings]))
  const isAny = outputs.length > 0 && outputs.every((each) => Object.keys(each).length === 0)
  return results.length === 0 && !isAny ? undefined : { results, warnings }
}

function pathText(path: readonly PropertyKey[]): string {
  return path
    .map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`))
    .join('')
    .replace(/^\./, ', ')
}
