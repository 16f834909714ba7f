import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { sleeper } from '../../../../test/rig/orchestrator/control-commands.ts'
import { TerminalCommandLine } from '../../../../test/rig/orchestrator/terminal.ts'

let program: TerminalCommandLine
beforeEach(() => {
  program = new TerminalCommandLine()
})
afterEach(() => program.dispose())

const marker = () => join(program.folder, 'ready')

/** Starts an orchestrator whose process `db` is ready while a file exists, and stops `db` again. */
async function withStoppedDatabase(): Promise<void> {
  const probe = { exec: 'test -e ready', period_ms: 100 }
  const api = { ...sleeper, depends_on: { db: { condition: 'ready' } } }
  program.writeConfig({ processes: { db: { ...sleeper, readiness_probe: probe }, api } })
  writeFileSync(marker(), '')
  await program.start().seen(/api: started/)
  await program.run('stop', 'api', 'db')
  rmSync(marker())
}

describe('a command that waits, in a terminal', () => {
  it.each(['start db', 'restart db', 'start db api'])('shows after a second what it waits for (%s)', async (line) => {
    await withStoppedDatabase()
    const terminal = program.openProgram(line.split(' '))
    await terminal.seen(/^db: running; .*exec test/m)
    writeFileSync(marker(), '')
    expect(await terminal.exitCode).toBe(0)
    expect(terminal.output).toMatch(/^db: (ready after|restarted)/m)
  })

  it('shows the processes that wait for others (wait)', async () => {
    await withStoppedDatabase()
    const started = program.run('start', 'db', 'api')
    await expect.poll(async () => (await program.run('status', 'db')).stdout).toContain('running')
    const terminal = program.openProgram(['wait', 'api', 'db'])
    await terminal.seen(/^api: waiting for db.*exec test/m)
    writeFileSync(marker(), '')
    expect(await terminal.exitCode).toBe(0)
    expect((await started).stderr).toBe('')
  })
})
