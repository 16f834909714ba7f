import { differenceText } from '../../src/domain/codecs/json-difference.ts'
import type { CodecReport, SampleResult } from './test-codecs.ts'

const GREEN = 32
const RED = 31

/** Returns the lines for a codec: its failed samples with their differences, then the number of the others. */
export function reportText({ codec, results, problems }: CodecReport, isColored: boolean): string {
  const failures = results.filter(isFailure)
  const passed = results.length - failures.length
  const lines = [
    ...problems.map((problem) => `${color('✗', RED, isColored)} ${problem}`),
    ...failures.flatMap(({ sample: { name, file, line }, differences }) => [
      `${color('✗', RED, isColored)} ${codec}: ${name} (${file}:${line})`,
      ...differences.map((difference) => `    ${differenceText(difference)}`),
    ]),
  ]
  if (passed > 0) lines.push(`${color('✓', GREEN, isColored)} ${codec}: ${count(passed, 'sample')} passed`)
  return lines.map((line) => `${line}\n`).join('')
}

/** Returns the line with the numbers of all samples. */
export function summaryText(reports: readonly CodecReport[], isColored: boolean): string {
  const results = reports.flatMap((report) => report.results)
  const failed = results.filter(isFailure).length
  const skipped = reports.reduce((sum, report) => sum + report.skipped, 0)
  const problems = reports.reduce((sum, report) => sum + report.problems.length, 0)
  const parts = [
    `${count(reports.length, 'codec')}: ${count(results.length - failed, 'sample')} passed`,
    ...(failed > 0 ? [color(`${failed} failed`, RED, isColored)] : []),
    ...(skipped > 0 ? [`${skipped} skipped, which are not uplinks`] : []),
    ...(problems > 0 ? [color(`${count(problems, 'file')} not usable`, RED, isColored)] : []),
  ]
  return `${parts.join(', ')}\n`
}

function isFailure({ differences }: SampleResult): boolean {
  return differences.length > 0
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

function color(text: string, code: number, isColored: boolean): string {
  return isColored ? `\u001B[${code}m${text}\u001B[39m` : text
}
