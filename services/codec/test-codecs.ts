import type { PoolCodecRunner } from '../../src/codecs/pool/codec-runner.ts'
import { DEFAULT_RECEIVE_TIME, runSample, type RunnableSample } from '../../src/domain/codecs/codec-sample.ts'
import type { Difference } from '../../src/domain/codecs/json-difference.ts'
import { readCodec } from './codec-file.ts'
import { createRunner } from './codec-runner.ts'
import { findCodecs, findSampleFiles } from './find-samples.ts'
import { FileError } from './located-document.ts'
import { readSamples, type Sample } from './sample-file.ts'

/** A sample that a codec was run with. */
export interface SampleResult {
  readonly sample: Sample
  readonly differences: readonly Difference[]
}

/** The samples of a codec that were run. */
export interface CodecReport {
  readonly codec: string
  readonly sampleFiles: readonly string[]
  readonly results: readonly SampleResult[]
  /** The number of samples that are not uplinks. */
  readonly skipped: number
  /** Files that could not be read. */
  readonly problems: readonly string[]
}

/**
 * Runs the codecs in files and folders on their samples: those in the file `vectors`, or in the files beside each codec. A codec in a
 * folder is left out if it has no samples. Throws a FileError if there is nothing to run.
 */
export async function* testCodecs(paths: readonly string[], vectors: string | undefined): AsyncGenerator<CodecReport> {
  const codecs: string[] = []
  for (const path of paths) codecs.push(...(await findCodecs(path)))
  const found = await Promise.all(codecs.map(async (codec) => ({ codec, files: await sampleFilesOf(codec, vectors) })))
  const tested = found.filter(({ codec, files }) => files.length > 0 || paths.includes(codec))
  if (tested.length === 0) throw new FileError(paths.join(', '), undefined, 'contains no codec with samples')
  const runner = createRunner()
  try {
    for (const { codec, files } of tested) yield await testCodec(runner, codec, files)
  } finally {
    await runner.close()
  }
}

async function sampleFilesOf(codec: string, vectors: string | undefined): Promise<readonly string[]> {
  return vectors === undefined ? findSampleFiles(codec) : [vectors]
}

async function testCodec(runner: PoolCodecRunner, path: string, sampleFiles: readonly string[]): Promise<CodecReport> {
  const results: SampleResult[] = []
  const problems: string[] = []
  let skipped = 0
  const attempt = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work()
    } catch (error) {
      if (!(error instanceof FileError)) throw error
      problems.push(error.message)
    }
  }
  await attempt(async () => {
    const { codec } = await readCodec(path)
    if (sampleFiles.length === 0)
      throw new FileError(path, undefined, 'has no samples beside it; name them with --vectors')
    for (const file of sampleFiles) {
      await attempt(async () => {
        const { samples, skipped: others } = await readSamples(file)
        skipped += others
        for (const sample of samples) {
          results.push({ sample, differences: await runSample(runner, '', codec, toRunnable(sample)) })
        }
      })
    }
  })
  return { codec: path, sampleFiles, results, skipped, problems }
}

function toRunnable({ payload, uplink, receivedAt = DEFAULT_RECEIVE_TIME, expectation }: Sample): RunnableSample {
  return { payload, input: { receivedAt, uplink }, expectation }
}
