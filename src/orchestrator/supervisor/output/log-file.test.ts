import { spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, onTestFinished, test } from 'vitest'
import { emptyFolder } from '../../../../test/rig/empty-folder.ts'
import type { SupervisorEvent } from '../events.ts'
import { LogFile } from './log-file.ts'

/** Creates a named pipe; its reader has opened it and reads nothing before `take`. */
async function namedPipe() {
  const folder = emptyFolder()
  const path = join(folder, 'pipe')
  spawnSync('mkfifo', [path])
  const reader = spawn('/bin/sh', ['-c', 'exec 3<>"$0"; echo open; read go; exec cat <&3', path])
  onTestFinished(() => void reader.kill('SIGKILL'))
  const lines = createInterface({ input: reader.stdout })[Symbol.asyncIterator]()
  expect((await lines.next()).value).toBe('open')
  return { path, lines, take: () => reader.stdin.write('go\n') }
}

test('a slow log file is full at 1 MiB, drained at half of that, and loses nothing (O-31)', async () => {
  const { path, lines, take } = await namedPipe()
  const events: SupervisorEvent[] = []
  const file = new LogFile('a', { path, maxSize: 10, maxFiles: 1 }, (event) => events.push(event))
  let count = 0
  while (!file.isFull) file.append(`${++count} ${'x'.repeat(1000)}`)
  expect(count).toBeLessThan(1100)
  const drained = new Promise<void>((resolve) => file.onceDrained(resolve))
  take()
  await drained
  expect(file.isFull).toBe(false)
  file.append('last')
  for (let number = 1; number <= count; number++) {
    expect((await lines.next()).value).toBe(`${number} ${'x'.repeat(1000)}`)
  }
  expect((await lines.next()).value).toBe('last')
  expect(events).toEqual([])
  file.end()
})

test('closing a log file resumes its waiting writers (O-31)', async () => {
  const { path } = await namedPipe()
  const file = new LogFile('a', { path, maxSize: 10, maxFiles: 1 }, () => {})
  while (!file.isFull) file.append('x'.repeat(1000))
  const drained = new Promise<void>((resolve) => file.onceDrained(resolve))
  file.close()
  await drained
  expect([file.isFull, file.isIdle]).toEqual([false, true])
})
