import { describe, expect, test } from 'vitest'
import { controlCommands } from '../../../../test/rig/orchestrator/control-commands.ts'
import { openRig } from '../../../../test/rig/orchestrator/supervised-graph.ts'

const control = controlCommands()
const { start, status } = control

/** Starts a process that has printed these lines. */
async function printed(lines: readonly string[], last = lines.at(-1) ?? '') {
  const rig = await openRig()
  await start({ a: rig.program('a') })
  const child = await rig.nextStart('a')
  await child.print(`${lines.join('\n')}\n`)
  await expect.poll(() => control.running?.stdout ?? '').toContain(last)
  return child
}

/** Returns the lines of output that `logs` prints. */
async function shown(...args: readonly string[]): Promise<readonly string[]> {
  const { code, stdout } = await control.program.run('logs', '--no-events', ...args)
  expect(code).toBe(0)
  return stdout.split('\n').flatMap((line) => (line === '' ? [] : [line.replace(/^\[a\] +/, '')]))
}

const pino = (level: number, msg: string) => JSON.stringify({ level, time: 1, pid: 2, hostname: 'h', msg })

describe('filters of logs (O-45)', () => {
  test('--level shows the lines of at least this level, of pino, bunyan and logfmt, and hides lines without a level', async () => {
    const bunyan = '{"name":"x","hostname":"h","pid":1,"level":50,"msg":"y","time":"2026-01-31T08:30:00Z","v":0}'
    await printed([pino(30, 'info'), pino(40, 'warn'), bunyan, 'level=warn msg=x', 'level=info msg=x', 'plain', 'end'])
    expect(await shown('--level', 'warn')).toEqual([pino(40, 'warn'), bunyan, 'level=warn msg=x'])
    expect(await shown('--level', 'error')).toEqual([bunyan])
    const { stdout } = await control.program.run('logs', '--level', 'info')
    expect(stdout).toMatch(/^\[orchestrator\] a: started/m)
  })

  test('--stream shows the lines of one stream', async () => {
    await start({ a: { command: 'echo fine; echo broken >&2; echo end; exec sleep 1000', shell: true } })
    await expect.poll(() => control.running?.stdout ?? '').toContain('end')
    await expect.poll(() => shown('--stream', 'stderr')).toEqual(['broken'])
    expect(await shown('--stream', 'stdout')).toEqual(['fine', 'end'])
    const withMessages = async (stream: string) => (await control.program.run('logs', '--stream', stream)).stdout
    expect(await withMessages('stderr')).toMatch(/^\[orchestrator\] a: started/m)
    expect(await withMessages('stdout')).not.toContain('[orchestrator]')
  })

  test('--level says on stderr that no line has a level', async () => {
    const child = await printed(['one', 'two'])
    const level = ['logs', '--no-events', '--level', 'warn']
    const { code, stdout, stderr } = await control.program.run(...level)
    expect([code, stdout]).toEqual([0, ''])
    expect(stderr).toBe(
      'ponix-orchestrator: no line of a process has this level or a higher one; 2 lines without a level are hidden, --stream stderr shows the errors of most programs\n',
    )
    expect((await control.program.run(...level, '--json')).stdout).toBe('{"without_level":2}\n')
    await child.print('level=warn\n')
    await expect.poll(() => control.running?.stdout ?? '').toContain('level=warn')
    expect((await control.program.run(...level)).stderr).toBe('')
  })

  test('--grep shows the raw lines that match, -i without regard to case, and the messages that match', async () => {
    await printed(['GET /a 200', 'GET /b 500', '\u001b[31mERROR\u001b[0m x', pino(30, 'get'), 'end'])
    expect(await shown('--grep', '^GET .* 5\\d\\d$')).toEqual(['GET /b 500'])
    expect(await shown('--grep', '^error x$')).toEqual([])
    expect(await shown('-i', '--grep', '^error x$')).toEqual(['\u001b[31mERROR\u001b[0m x'])
    expect(await shown('--grep', '\u001b\\[31m')).toEqual(['\u001b[31mERROR\u001b[0m x'])
    expect(await shown('--grep', '"level":30')).toEqual([pino(30, 'get')])
    const { stdout } = await control.program.run('logs', '--grep', 'started|500')
    expect(stdout).toMatch(/^\[orchestrator\] a: started .*\n\[a\] +GET \/b 500\n$/)
  })

  test('--since and --until go by the arrival of the lines', async () => {
    const child = await printed(['first'])
    const between = new Date()
    await expect.poll(() => Date.now()).toBeGreaterThan(between.getTime())
    await child.print('second\n')
    await expect.poll(() => control.running?.stdout ?? '').toContain('second')
    expect(await shown('--since', '1h')).toEqual(['first', 'second'])
    expect(await shown('--since', between.toISOString())).toEqual(['second'])
    expect(await shown('--until', between.toISOString())).toEqual(['first'])
    expect(await shown('--until', '1h')).toEqual([])
    expect(await shown('--since', '0s')).toEqual([])
  })

  test('--tail counts the lines that pass the other filters; without --tail they are all shown', async () => {
    const lines = Array.from({ length: 300 }, (_, index) => `${index % 2 === 0 ? 'even' : 'odd'} ${index}`)
    await printed(lines)
    expect(await shown('--grep', 'even', '--tail', '2')).toEqual(['even 296', 'even 298'])
    expect(await shown('--grep', 'even')).toHaveLength(150)
    expect(await shown()).toHaveLength(100)
    expect(await shown('--tail', 'all')).toHaveLength(300)
  })

  test('apply to new lines with -f', async () => {
    const child = await printed(['ERROR first', 'fine', 'end'])
    const following = control.program.start('logs', '-f', '--no-events', '--grep', 'ERROR', '--since', '1h')
    await following.seen(/ERROR first/)
    await child.print('fine again\nERROR second\nERROR third\n')
    await following.seen(/ERROR third/)
    expect(following.stdout).not.toContain('fine')
    following.signal('SIGINT')
    await following.outcome
  })

  test('-f ends at the time --until', async () => {
    await printed(['first'])
    const { code, stdout } = await control.program.run(
      'logs',
      '-f',
      '--until',
      new Date(Date.now() + 500).toISOString(),
    )
    expect([code, stdout]).toEqual([0, expect.stringContaining('first')])
  })

  test('--since says that earlier lines are no longer kept', async () => {
    const child = await printed(['first'])
    for (let number = 0; number < 10; number++) await child.print(`${number} ${'x'.repeat(60_000)}\n`)
    await expect.poll(() => control.running?.stdout ?? '').toMatch(/9 x{60000}\n/)
    const { stdout } = await control.program.run('logs', '--since', '1h', 'a')
    expect(stdout).toMatch(/^\[orchestrator\] a: its lines up to \d\d:\d\d:\d\d are no longer kept; a log file /)
    expect((await control.program.run('logs', '--since', '1h', '--tail', '2', 'a')).stdout).not.toContain(
      'no longer kept',
    )
    const [record = ''] = (await control.program.run('logs', '--since', '1h', '--json')).stdout.split('\n')
    expect(JSON.parse(record)).toEqual({ process: 'a', lost_until: expect.any(Number) })
  })

  test('a regular expression that never ends is given up, and the orchestrator answers meanwhile', async () => {
    await printed([`${'a'.repeat(60)}!`])
    const searching = control.program.start('logs', '--grep', '^(a+)+$')
    expect((await status())['a']).toMatchObject({ state: 'running' })
    expect(searching.hasEnded).toBe(false)
    expect(await searching.outcome).toEqual({
      code: 1,
      stdout: '',
      stderr: 'ponix-orchestrator: grep: the expression took longer than 5 s; simplify it\n',
    })
    expect(await shown('--grep', 'a!$')).toHaveLength(1)
  })

  test.each([
    [
      ['--since', '10'],
      '--since "10": expected a duration such as 90s, 10m, 1h30m or 2d, or a time such as 2026-01-31T08:30:00',
    ],
    [
      ['--until', 'soon'],
      '--until "soon": expected a duration such as 90s, 10m, 1h30m or 2d, or a time such as 2026-01-31T08:30:00',
    ],
    [['--grep', '('], '--grep "(": Invalid regular expression: /(/: Unterminated group'],
    [['--tail', 'many'], '--tail "many": expected a whole number of 0 or more, or all'],
    [
      ['--level', 'warning'],
      '--level "warning": expected trace, debug, info, warn, error or fatal; did you mean "warn"?',
    ],
    [['--lines', '5'], "unknown option '--lines'; use --tail"],
    [['--level', 'loud'], '--level "loud": expected trace, debug, info, warn, error or fatal'],
  ])('rejects %j with exit code 2', async (args, message) => {
    expect(await control.program.run('logs', ...args)).toEqual({
      code: 2,
      stdout: '',
      stderr: `ponix-orchestrator: ${message}\n`,
    })
  })
})
