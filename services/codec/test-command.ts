import { isatty } from 'node:tty'
import type { Command } from 'commander'
import { logStyle } from '../../src/runner/logger.ts'
import { print } from '../../src/runner/print.ts'
import { rejectFileErrors } from './located-document.ts'
import { testCodecs, type CodecReport } from './test-codecs.ts'
import { reportText, summaryText } from './test-report.ts'

interface TestOptions {
  readonly vectors?: string
  readonly json?: true
}

const STDOUT = 1

/** Adds `ponix-codec test`. */
export function addTestCommand(program: Command, environment: () => unknown): void {
  const command = program.command('test')
  command
    .description('run codecs on sample payloads and compare the results with the expected ones')
    .argument('<codecs...>', 'files, and folders that contain codecs and their samples')
    .option('--vectors <file>', 'the samples (default: the files of samples beside each codec)')
    .option('--json', 'as JSON')
    .action(async (paths: readonly string[], options: TestOptions) => {
      environment()
      await rejectFileErrors(command, () => test(paths, options))
    })
}

async function test(paths: readonly string[], { vectors, json }: TestOptions): Promise<void> {
  const isColored = logStyle({ ...process.env, PONIX_LOG_FORMAT: 'text' }, isatty(STDOUT)).colors
  const reports: CodecReport[] = []
  await print(
    (async function* texts() {
      for await (const report of testCodecs(paths, vectors)) {
        reports.push(report)
        yield json ? `${JSON.stringify(viewOf(report))}\n` : reportText(report, isColored)
      }
      if (!json) yield summaryText(reports, isColored)
    })(),
  )
  process.exitCode = exitCodeOf(reports)
}

function viewOf({ codec, results, skipped, problems }: CodecReport) {
  const samples = results.map(({ sample: { name, file, line }, differences }) => ({
    name,
    file,
    line,
    passed: differences.length === 0,
    differences,
  }))
  return { codec, samples, skipped, problems }
}

function exitCodeOf(reports: readonly CodecReport[]): number {
  if (reports.some(({ problems }) => problems.length > 0)) return 2
  return reports.every(({ results }) => results.every(({ differences }) => differences.length === 0)) ? 0 : 1
}
