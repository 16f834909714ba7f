import { expect, it } from 'vitest'
import { failureIn } from './detach-report.ts'

const lines = (...all: readonly string[]) => all.map((line) => `${line}\n`).join('')

it.each([
  [
    'a process with output',
    lines(
      '[web]          hello',
      '[job]          a',
      '[job]            b',
      '[orchestrator] job: failed permanently: exited with code 3; its last output:',
      '[orchestrator]   | b',
      '[orchestrator] stopping everything',
      '[web]          end',
    ),
    lines('job: failed permanently: exited with code 3', '  | a', '  |   b'),
  ],
  [
    'a missing program and timestamps',
    lines('12:00 [orchestrator] a: could not be started: "x" was not found'),
    lines('a: could not be started: "x" was not found'),
  ],
  ['no failure', lines('[web] a: failed permanently: no'), null],
  ['JSON', lines('{"msg":"job: failed permanently: exited with code 3"}'), null],
])('the failure in a log with %s', (_, log, expected) => {
  expect(failureIn(log)).toBe(expected)
})

it('the failure in a log has the last 20 lines of the process', () => {
  const log = lines(
    ...Array.from({ length: 30 }, (_, index) => `[a]            ${index}`),
    '[orchestrator] a: failed permanently: x',
  )
  expect(failureIn(log)?.match(/^ {2}\| \d+$/gm)).toEqual(Array.from({ length: 20 }, (_, index) => `  | ${index + 10}`))
})
