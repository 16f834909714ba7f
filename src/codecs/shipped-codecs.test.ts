import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { sourceSizeError, type Codec } from '../domain/codecs/codec.ts'
import { Decoder } from './decoder.ts'

const root = fileURLToPath(new URL('../../codecs', import.meta.url))
const languages = [
  ['cel', 'codec.cel'],
  ['javascript', 'codec.js'],
] as const

/** The form of examples.json: TS013-1.0.0, where the only error is a part of the message. */
const exampleSchema = z.strictObject({
  type: z.literal('uplink'),
  description: z.string().regex(/\((values )?printed in public documentation(, message composed)?\)$|\(computed\)$/),
  input: z.strictObject({
    bytes: z.array(z.int().min(0).max(255)),
    fPort: z.int().min(1).max(223),
    recvTime: z.iso.datetime().optional(),
  }),
  output: z.union([
    z.strictObject({ data: z.json(), warnings: z.array(z.string()).min(1).optional() }),
    z.strictObject({ errors: z.tuple([z.string().min(1)]) }),
  ]),
})
type Example = z.infer<typeof exampleSchema>

const folders = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .flatMap((vendor) => readdirSync(join(root, vendor.name)).map((model) => `${vendor.name}/${model}`))

function examplesOf(folder: string): Example[] {
  return z.array(exampleSchema).parse(JSON.parse(readFileSync(join(root, folder, 'examples.json'), 'utf8')))
}

const codecs = folders.flatMap((folder) =>
  languages
    .filter(([, file]) => existsSync(join(root, folder, file)))
    .map(([kind, file]) => ({
      name: `${folder}/${file}`,
      codec: { kind, source: readFileSync(join(root, folder, file), 'utf8') } satisfies Codec,
      examples: examplesOf(folder),
    })),
)

const decoder = new Decoder()

/** Returns the result in the form of `output`, with the reason of a failure as its only error. */
function decode(codec: Codec, { input }: Example) {
  const receivedAt = BigInt(Date.parse(input.recvTime ?? '2024-05-01T12:00:00Z')) * 1000n
  const result = decoder.decode(codec, Uint8Array.from(input.bytes), { receivedAt, uplink: { fPort: input.fPort } })
  return result.ok ? { data: result.data, warnings: result.warnings ?? [] } : { errors: [result.reason] }
}

/** Rounds every number to ten digits: the decimal fraction of an example is not always the double that a formula results in. */
function rounded(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (_, item: unknown) =>
    typeof item === 'number' ? Number(item.toPrecision(10)) : item,
  )
}

function expectedOf({ output }: Example): unknown {
  if ('data' in output) return { data: rounded(output.data), warnings: output.warnings ?? [] }
  return { errors: output.errors.map((part) => expect.stringContaining(part)) }
}

describe('P-2: the codecs of the folder codecs', () => {
  it.each(codecs)('$name returns the results of its examples', ({ codec, examples }) => {
    expect(sourceSizeError(codec)).toBeUndefined()
    const results = examples.map((example) => [example.description, rounded(decode(codec, example))])
    expect(results).toEqual(examples.map((example) => [example.description, expectedOf(example)]))
  })

  it('are of at least 30 devices of 15 vendors, with at least 300 examples; some devices have both languages', () => {
    const vendors = new Set(folders.map((folder) => folder.split('/')[0]))
    const examples = folders.flatMap((folder) => examplesOf(folder))
    expect(folders.length).toBeGreaterThanOrEqual(30)
    expect(vendors.size).toBeGreaterThanOrEqual(15)
    expect(examples.length).toBeGreaterThanOrEqual(300)
    expect(codecs.length - folders.length).toBeGreaterThanOrEqual(4)
  })

  it.each(codecs)('$name has at least eight examples, of results and of errors', ({ examples }) => {
    expect(examples.length).toBeGreaterThanOrEqual(8)
    expect(new Set(examples.map(({ output }) => 'errors' in output))).toEqual(new Set([true, false]))
  })
})
