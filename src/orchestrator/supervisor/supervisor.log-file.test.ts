import {
  chmodSync,
  existsSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { emptyFolder } from '../../../test/rig/empty-folder.ts'
import { openRig, supervise } from '../../../test/rig/orchestrator/supervised-graph.ts'
import type { LogFileSettings } from '../config/resolved.ts'

const logTo = (path: string, settings: Partial<LogFileSettings> = {}, quiet = true) => ({
  log: { file: { path, maxSize: 10_000_000, maxFiles: 5, ...settings }, quiet },
})
const task = (name: string, command: string) => ({ name, kind: 'task', command, shell: true }) as const
const numbers = (count: number) => Array.from({ length: count }, (_, index) => `${index + 1}\n`).join('')
const text = (path: string) => readFileSync(path, 'utf8')

describe('the log file of a process (O-31)', () => {
  test('contains the unchanged lines of both streams and of all children; its folder is created', async () => {
    const path = join(emptyFolder(), 'deep/er/a.log')
    const rig = await openRig()
    const graph = supervise([{ name: 'a', ...rig.program('a'), ...logTo(path, {}, false) }])
    const first = await rig.nextStart('a')
    await first.print(Buffer.from('one \u001b[31m\xff\x00\n', 'latin1'))
    await first.printError('two\n')
    await first.print('a last line without an end')
    await first.exit(1)
    await (await rig.nextStart('a')).print('three\n')
    await graph.stop()
    const lines = readFileSync(path, 'latin1').split('\n')
    expect(lines.toSorted()).toEqual(['', 'a last line without an end', 'one \u001b[31m\xff\x00', 'three', 'two'])
    expect(graph.stdout.text).toContain('[a]            three\n')
  })

  test('receives the lines of a quiet process, and so does the history, but not the terminal', async () => {
    const path = join(emptyFolder(), 'a.log')
    const graph = supervise([{ ...task('a', 'echo out; echo err >&2'), ...logTo(path) }])
    await graph.ended
    expect([graph.stdout.text, graph.stderr.text]).toEqual(['', ''])
    expect(text(path).split('\n').toSorted()).toEqual(['', 'err', 'out'])
    const kept = graph.supervisor.logs.read(['a'], false).map((entry) => ('line' in entry ? entry.line : ''))
    expect(kept.toSorted()).toEqual(['err', 'out'])
  })

  test('rotates at full rate: no line is torn, lost or in two files, and no file exceeds its limit', async () => {
    const folder = emptyFolder()
    const path = join(folder, 'a.log')
    const limits = { maxSize: 100_000, maxFiles: 100 }
    const graph = supervise([{ ...task('a', 'seq 1 500000'), ...logTo(path, limits) }])
    expect(await graph.ended).toEqual({ exitCode: 0 })
    const count = readdirSync(folder).length
    const files = [...Array.from({ length: count - 1 }, (_, index) => `${path}.${count - 1 - index}`), path].map(text)
    expect(files.join('')).toBe(numbers(500_000))
    for (const file of files) {
      expect(file.length).toBeLessThanOrEqual(100_000)
      expect(file.endsWith('\n')).toBe(true)
    }
    expect(files.slice(0, -1).every((file) => file.length > 99_000)).toBe(true)
  })

  test('keeps the newest old files up to the limit; a line longer than the limit has its own file', async () => {
    const folder = emptyFolder()
    const path = join(folder, 'a.log')
    const command = `seq 1 2000; head -c 3000 /dev/zero | tr '\\0' x; echo; echo end`
    const graph = supervise([{ ...task('a', command), ...logTo(path, { maxSize: 1000, maxFiles: 2 }) }])
    await graph.ended
    expect(readdirSync(folder).toSorted()).toEqual(['a.log', 'a.log.1', 'a.log.2'])
    expect(text(path)).toBe('end\n')
    expect(text(`${path}.1`)).toBe(`${'x'.repeat(3000)}\n`)
    expect(text(`${path}.2`)).toMatch(/\n2000\n$/)
  })

  test('continues the file of an earlier run, whose incomplete last line stays separate', async () => {
    const path = join(emptyFolder(), 'a.log')
    writeFileSync(path, 'before\ncut o')
    await supervise([{ ...task('a', 'echo after'), ...logTo(path, { maxSize: 100 }) }]).ended
    expect(text(path)).toBe('before\ncut o\nafter\n')
  })

  test('is never renamed if it is not a regular file', async () => {
    const path = join(emptyFolder(), 'null')
    symlinkSync('/dev/null', path)
    const graph = supervise([{ ...task('a', 'seq 1 1000'), ...logTo(path, { maxSize: 10 }) }])
    expect(await graph.ended).toEqual({ exitCode: 0 })
    expect([existsSync(`${path}.1`), graph.eventSequence('log_file_failed')]).toEqual([false, []])
  })
})

describe('the permissions of a log file', () => {
  const modeOf = (path: string) => statSync(path).mode & 0o777

  test('of a new file are those of its owner, also after a rotation', async () => {
    const path = join(emptyFolder(), 'a.log')
    await supervise([{ ...task('a', 'seq 1 1000'), ...logTo(path, { maxSize: 1000 }) }]).ended
    expect([modeOf(path), modeOf(`${path}.1`)]).toEqual([0o600, 0o600])
  })

  test('of a file that exists are kept, also by a rotation and with any umask', async () => {
    const path = join(emptyFolder(), 'a.log')
    writeFileSync(path, '')
    chmodSync(path, 0o666)
    await supervise([{ ...task('a', 'seq 1 1000'), ...logTo(path, { maxSize: 1000 }) }]).ended
    expect([modeOf(path), modeOf(`${path}.1`)]).toEqual([0o666, 0o666])
  })
})

describe('a log file that something else moves', () => {
  test.each([
    ['removed with its folder', (path: string) => rmSync(dirname(path), { recursive: true })],
    ['renamed, as logrotate does', (path: string) => renameSync(path, `${path}.moved`)],
  ])('is created again after it was %s', async (_what, move) => {
    const path = join(emptyFolder(), 'logs', 'a.log')
    const rig = await openRig()
    supervise([{ name: 'a', ...rig.program('a'), ...logTo(path) }])
    const a = await rig.nextStart('a')
    await a.print('before\n')
    await expect.poll(() => existsSync(path) && text(path)).toBe('before\n')
    move(path)
    await expect
      .poll(
        async () => {
          await a.print('after\n')
          return existsSync(path) && text(path)
        },
        { timeout: 5000 },
      )
      .toMatch(/^(after\n)+$/)
  })
})

describe('a log file that cannot be written (O-31)', () => {
  test('is closed at the end with the number of lost lines', async () => {
    const path = join(emptyFolder(), 'a.log')
    symlinkSync('/dev/full', path)
    const rig = await openRig()
    const graph = supervise([{ name: 'a', ...rig.program('a'), ...logTo(path) }])
    const a = await rig.nextStart('a')
    await a.print('line\n', 3)
    await graph.next('log_file_failed')
    await a.print('line\n', 2)
    await graph.stop()
    expect(await graph.next('log_file_closed')).toEqual({ type: 'log_file_closed', process: 'a', path, lostLines: 5 })
    expect(graph.supervisor.logFileOf('a')).toMatchObject({ lostLines: 5 })
  })

  test('is reported once on a full disk, delays no process, and is written again when there is space', async () => {
    const folder = emptyFolder()
    const path = join(folder, 'a.log')
    symlinkSync('/dev/full', path)
    const rig = await openRig()
    const graph = supervise([{ name: 'a', ...rig.program('a'), ...logTo(path) }])
    const a = await rig.nextStart('a')
    await a.print('first\n')
    expect(await graph.next('log_file_failed')).toMatchObject({
      process: 'a',
      path,
      reason: 'no space left on device (ENOSPC)',
    })
    // The lines exceed the buffer of a log file: if a full buffer slowed the process, this wait would not end.
    await a.print(`${'x'.repeat(999)}\n`, 5000)
    await a.print('last\n')
    const file = join(folder, 'real.log')
    rmSync(path)
    symlinkSync(file, path)
    const { lostLines } = await graph.next('log_file_resumed')
    await a.print('again\n')
    await graph.stop()
    const lines = text(file).split('\n')
    expect(lines[0]).toBe('first')
    expect(lines.at(-2)).toBe('again')
    expect(lines.length - 1 + lostLines).toBe(5003)
    expect(lostLines).toBeGreaterThan(3000)
    expect(graph.eventSequence('log_file_failed', 'process_exited')).toEqual(['log_file_failed a'])
  })

  test('is reported where the system creates no folders, and does not delay a stop', async () => {
    const graph = supervise([{ ...task('a', 'echo one; exec sleep 600'), ...logTo('/proc/x/y/a.log') }])
    expect(await graph.next('log_file_failed')).toMatchObject({
      reason: 'cannot create the folder /proc/x: no such file or directory (ENOENT)',
    })
    await graph.stop()
  })

  test('is reported once in a folder that is a file, and does not delay a stop', async () => {
    const folder = emptyFolder()
    writeFileSync(join(folder, 'file'), '')
    const rig = await openRig()
    const graph = supervise([{ name: 'a', ...rig.program('a'), ...logTo(join(folder, 'file', 'a.log'), {}, false) }])
    await (await rig.nextStart('a')).print('one\n')
    expect((await graph.next('log_file_failed')).reason).toMatch(/ \((ENOTDIR|EEXIST)\)$/)
    expect(await graph.stop()).toEqual({ exitCode: 0 })
    expect(graph.stdout.text).toContain('one\n')
  })
})
