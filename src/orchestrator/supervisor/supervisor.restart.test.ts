import { chmod, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openRig, started, supervise } from '../../../test/rig/orchestrator/supervised-graph.ts'

const forAnHour = { backoffMs: 3_600_000, maxBackoffMs: 3_600_000 }

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ponix-restart-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

describe('an exit (O-33)', () => {
  test('is reported with its code or signal, and the process restarts', async () => {
    const rig = await openRig()
    const graph = supervise([{ name: 'a', ...rig.program('a') }])
    await (await rig.nextStart('a')).exit(3)
    expect(await graph.next('process_exited', 'a')).toMatchObject({ exit: { code: 3, signal: null } })
    await (await rig.nextStart('a')).raise('SIGKILL')
    expect(await graph.next('process_exited', 'a')).toMatchObject({ exit: { code: null, signal: 'SIGKILL' } })
    const third = await rig.nextStart('a')
    expect(rig.running).toEqual([third])
  })

  test('delays no other process by its backoff', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'slow', ...rig.program('slow'), restart: forAnHour },
      { name: 'quick', ...rig.program('quick') },
      { name: 'user', ...rig.program('user'), dependsOn: [started('quick')] },
    ])
    await (await rig.nextStart('slow')).exit(1)
    await graph.next('restart_scheduled', 'slow')
    for (let n = 0; n < 3; n++) await (await rig.nextStart('quick')).exit(1)
    await rig.nextStart('user')
    expect(rig.starts('slow')).toBe(1)
    expect(await graph.stop()).toEqual({ exitCode: 0 })
  })

  test('is detected although a grandchild holds the output; the grandchild is ended before the next start', async () => {
    const rig = await openRig()
    const graph = supervise([{ name: 'a', ...rig.program('a') }])
    const first = await rig.nextStart('a')
    await first.fork('grandchild', { holdsOutput: true })
    const grandchild = await rig.nextStart('grandchild')
    await grandchild.keep('SIGTERM')
    await first.exit(1)
    await graph.next('process_exited', 'a')
    expect(await grandchild.nextSignal()).toBe('SIGTERM')
    expect(rig.starts('a')).toBe(1)
    await grandchild.exit(0)
    const second = await rig.nextStart('a')
    expect(rig.running).toEqual([second])
  })

  test('is shown after the last output, including a line without a newline (O-31)', async () => {
    const rig = await openRig()
    const graph = supervise([{ name: 'a', ...rig.program('a'), restart: { policy: 'never' } }])
    const a = await rig.nextStart('a')
    await a.print('one\ntwo')
    await a.exit(0)
    await graph.ended
    expect(graph.stdout.lines).toEqual(['[a]            one', '[a]            two'])
  })
})

describe('the restart policy (O-34)', () => {
  test.each([
    ['always', 0, true],
    ['always', 1, true],
    ['on_failure', 0, false],
    ['on_failure', 1, true],
    ['never', 0, false],
    ['never', 1, false],
  ] as const)('%s after exit code %i restarts the process: %s', async (policy, code, restarts) => {
    const rig = await openRig()
    const graph = supervise([{ name: 'a', ...rig.program('a'), restart: { policy } }])
    await (await rig.nextStart('a')).exit(code)
    if (restarts) {
      await rig.nextStart('a')
      return
    }
    expect(await graph.ended).toEqual({ exitCode: code })
    expect(rig.starts('a')).toBe(1)
  })

  test('on_failure restarts after a signal', async () => {
    const rig = await openRig()
    supervise([{ name: 'a', ...rig.program('a'), restart: { policy: 'on_failure' } }])
    await (await rig.nextStart('a')).raise('SIGTERM')
    await rig.nextStart('a')
    expect(rig.starts('a')).toBe(2)
  })

  test('increases the backoff of a crash loop to its maximum, with one start after each backoff', async () => {
    const graph = supervise([
      { name: 'a', command: 'exit 1', shell: true, restart: { backoffMs: 2, maxBackoffMs: 16 } },
    ])
    const waits: number[] = []
    for (let n = 0; n < 6; n++) waits.push((await graph.next('restart_scheduled', 'a')).waitMs)
    expect(waits).toEqual([2, 4, 8, 16, 16, 16])
    const sequence = graph.eventSequence('process_started', 'process_exited', 'restart_scheduled')
    expect(sequence.slice(0, 6)).toEqual([
      'started a',
      'exited a',
      'restart_scheduled a',
      'started a',
      'exited a',
      'restart_scheduled a',
    ])
    const countOf = (what: string) => sequence.filter((step) => step === what).length
    expect(countOf('started a')).toBe(countOf('restart_scheduled a'))
  })

  test('allows three starts with max_attempts 2; then the process has failed permanently, and the others continue', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'a', ...rig.program('a'), restart: { maxAttempts: 2 } },
      { name: 'b', ...rig.program('b') },
    ])
    for (let n = 0; n < 3; n++) await (await rig.nextStart('a')).exit(9)
    expect(await graph.next('process_failed', 'a')).toMatchObject({ reason: 'exited with code 9, after 2 restarts' })
    await (await rig.nextStart('b')).exit(0)
    await rig.nextStart('b')
    expect(rig.starts('a')).toBe(3)
    expect(graph.eventSequence('stopping')).toEqual([])
  })

  test('counts an exit after an uptime of reset_after_ms as the first', async () => {
    const rig = await openRig()
    const graph = supervise([{ name: 'a', ...rig.program('a'), restart: { resetAfterMs: 0, maxAttempts: 1 } }])
    for (let n = 0; n < 4; n++) await (await rig.nextStart('a')).exit(1)
    for (let n = 0; n < 4; n++) expect(await graph.next('restart_scheduled', 'a')).toMatchObject({ attempt: 1 })
  })
})

describe('a command that cannot be started (O-34)', () => {
  const unstartable = async (): Promise<readonly (readonly [object, RegExp])[]> => {
    const folder = await temporaryFolder()
    const script = join(folder, 'script')
    await writeFile(script, '#!/bin/sh\n')
    await writeFile(join(folder, 'lost'), '#!/no/such/interpreter\n')
    await chmod(join(folder, 'lost'), 0o755)
    return [
      [{ command: 'no-such-program' }, /"no-such-program" was not found on PATH \(searched /],
      [{ command: './gone', cwd: folder }, /"\.\/gone" was not found \(expected at .*\/gone\)/],
      [{ command: script }, /"[^"]+script" is not executable; run chmod \+x/],
      [{ command: folder }, /is a folder, not a program/],
      [{ command: join(folder, 'lost') }, /its interpreter "\/no\/such\/interpreter" was not found/],
      [{ command: 'true', cwd: join(folder, 'none') }, /its cwd "[^"]+none" does not exist/],
      [{ command: 'true', cwd: script }, /its cwd "[^"]+script" is not a folder/],
    ]
  }

  test('fails the whole start with the reason at its first start; running processes stop in order, exit code 1', async () => {
    for (const [broken, reason] of await unstartable()) {
      const rig = await openRig()
      const graph = supervise([
        { name: 'a', ...rig.program('a') },
        { name: 'b', ...rig.program('b'), dependsOn: [started('a')] },
        { name: 'bad', command: '', ...broken, dependsOn: [started('b')] },
        { name: 'after', command: 'true', dependsOn: [started('bad')] },
      ])
      const { message } = await graph.next('spawn_failed', 'bad')
      expect(message).toMatch(reason)
      expect(await graph.ended).toEqual({ exitCode: 1 })
      expect(graph.eventSequence('process_skipped', 'process_stopped')).toEqual([
        'skipped after',
        'stopped b',
        'stopped a',
      ])
      expect(rig.running).toEqual([])
    }
  })

  test('counts as a failed attempt after the first start, and the process starts as soon as possible', async () => {
    const folder = await temporaryFolder()
    const program = join(folder, 'program')
    const rig = await openRig()
    const { command, args, env } = rig.program('a')
    await writeFile(program, `#!/bin/sh\nexec "${command}" "${args[0]}"\n`, { mode: 0o755 })
    const graph = supervise([{ name: 'a', command: program, env, restart: { backoffMs: 1, maxBackoffMs: 1 } }])
    const first = await rig.nextStart('a')
    await rename(program, `${program}.away`)
    await first.exit(1)
    const failed = await graph.next('spawn_failed', 'a')
    expect(failed.message).toContain('was not found')
    await graph.next('restart_scheduled', 'a')
    expect(await graph.next('restart_scheduled', 'a')).toMatchObject({ attempt: 2 })
    await rename(`${program}.away`, program)
    await rig.nextStart('a')
    expect(graph.eventSequence('stopping')).toEqual([])
  })

  test('fails permanently with the reason after max_attempts', async () => {
    const folder = await temporaryFolder()
    const cwd = join(folder, 'work')
    await mkdir(cwd)
    const rig = await openRig()
    const graph = supervise([{ name: 'a', ...rig.program('a'), cwd, restart: { maxAttempts: 2 } }])
    const first = await rig.nextStart('a')
    await rm(cwd, { recursive: true })
    await first.exit(1)
    const { reason } = await graph.next('process_failed', 'a')
    expect(reason).toMatch(/its cwd ".*work" does not exist, after 2 restarts/)
    expect(await graph.ended).toEqual({ exitCode: 1 })
  })
})
