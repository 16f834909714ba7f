import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { emptyFolder } from '../../../../test/rig/empty-folder.ts'
import { LogStream } from './log-stream.ts'

test('a log stream rotates its file and loses no line', async () => {
  const folder = emptyFolder()
  const path = join(folder, 'new', 'out.log')
  const stream = new LogStream({ path, maxSize: 1000, maxFiles: 5 }, () => expect.unreachable())
  const lines = Array.from({ length: 300 }, (_, index) => `line ${index}\n`)
  for (const line of lines) stream.write(line)
  await stream.finish(10_000)
  const names = readdirSync(join(folder, 'new')).toSorted().toReversed()
  expect(names.length).toBeGreaterThan(2)
  const oldestFirst = [...names.filter((name) => name !== 'out.log'), 'out.log']
  expect(oldestFirst.map((name) => readFileSync(join(folder, 'new', name), 'utf8')).join('')).toBe(lines.join(''))
})
