import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { echo } from '../../../../test/rig/orchestrator/control-commands.ts'
import type { Program } from '../../../../test/rig/program.ts'
import { CTRL_BACKSLASH, CTRL_C, TerminalCommandLine } from '../../../../test/rig/orchestrator/terminal.ts'

const CTRL_CLOSE_BRACKET = '\u001d'

let program: TerminalCommandLine
beforeEach(() => {
  program = new TerminalCommandLine()
})
afterEach(() => program.dispose())

async function start(processes: object): Promise<Program> {
  program.writeConfig({ processes })
  const running = program.start()
  await running.seen(/ready after/)
  return running
}

/** Prints its size, and each line that is typed; Ctrl-C is reported. */
const prompt = {
  command:
    'trap "echo interrupted" INT; trap "stty size" WINCH; echo "is up"; while :; do read -r line && echo "got <$line>"; done',
  shell: true,
  tty: true,
}

describe('attach NAME', () => {
  it('shows the recent output, types into the terminal, follows its size, and leaves with Ctrl-]', async () => {
    const running = await start({ shell: prompt })
    const terminal = program.openProgram(['attach', 'shell'], { columns: 101, rows: 33 })
    await terminal.seen(/is up/)
    await terminal.seen(/33 101/)
    terminal.press('hello\r')
    await terminal.seen(/got <hello>/)
    terminal.press(CTRL_C)
    await terminal.seen(/interrupted/)
    terminal.resize(90, 20)
    await terminal.seen(/20 90/)
    terminal.press(CTRL_CLOSE_BRACKET)
    expect(await terminal.exitCode).toBe(0)
    expect(terminal.output).toMatch(/detached from shell/)
    await running.seen(/got <hello>/)
    expect((await program.run('status')).code).toBe(0)
  })

  it('stays attached when the process restarts, and ends with the orchestrator', async () => {
    const running = await start({ shell: prompt })
    const terminal = program.openProgram(['attach', 'shell'])
    await terminal.seen(/is up/)
    expect((await program.run('restart', 'shell')).code).toBe(0)
    await terminal.seen(/\[shell: .*SIG[^]*\[shell: started/)
    terminal.press('again\r')
    await terminal.seen(/got <again>/)
    expect(await running.stop()).toBe(0)
    expect(await terminal.exitCode).toBe(0)
  })

  it('gives the terminal the size of the other viewer when a viewer is killed with SIGKILL', async () => {
    await start({ shell: prompt })
    const wide = program.openProgram(['attach', 'shell'], { columns: 110, rows: 35 })
    await wide.seen(/35 110/)
    const small = program.openProgram(['attach', 'shell'], { columns: 70, rows: 20 })
    await wide.seen(/20 70/)
    const from = wide.output.length
    await small.kill()
    await wide.seen(/35 110/, from)
    wide.press('still here\r')
    await wide.seen(/got <still here>/)
    expect(small.output).not.toContain('detached')
  })

  it('rejects a process without a terminal', async () => {
    await start({ web: echo('web is up') })
    expect(await program.run('attach', 'web')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('web has no terminal: set "tty": true, or read the output with logs -f web'),
    })
    expect(await program.run('attach', 'wbe')).toMatchObject({ code: 1, stderr: expect.stringContaining('"web"') })
  })

  it('offers only processes with a terminal', async () => {
    await start({
      worker: { ...echo('worker is up'), replicas: 2 },
      shell: { ...prompt, replicas: 2 },
      'shell-log': echo('log is up'),
    })
    const { code, stderr } = await program.run('attach', 'worker')
    expect([code, stderr]).toEqual([
      1,
      'ponix-orchestrator: none of worker#1, worker#2 has a terminal: set "tty": true, or read the output with logs -f worker\n',
    ])
    expect(await program.run('attach', 'shell*')).toMatchObject({
      code: 1,
      stderr: 'ponix-orchestrator: attach: expected one process; choose one of shell#1, shell#2\n',
    })
  })
})

describe('attach', () => {
  it('shows no line of a quiet process, as run', async () => {
    const running = await start({ quiet: { ...echo('hidden'), log: { quiet: true } }, web: echo('web is up') })
    await expect.poll(async () => (await program.run('logs', 'quiet')).stdout).toContain('hidden')
    const terminal = program.openProgram(['attach'])
    await terminal.seen(/web is up/)
    expect((await program.run('restart', 'quiet')).code).toBe(0)
    await terminal.seen(/quiet: started again/)
    expect((await program.run('restart', 'web')).code).toBe(0)
    await terminal.seen(/web: started again[^]*web is up/)
    expect(await running.stop()).toBe(0)
    expect(await terminal.exitCode).toBe(0)
    expect(terminal.output).not.toContain('hidden')
  })

  it('shows the output of all processes and reacts to keys; Ctrl-C leaves and stops nothing', async () => {
    await start({ web: echo('web is up'), api: echo('api is up') })
    const terminal = program.openProgram(['attach'])
    await terminal.seen(/web is up/)
    await terminal.seen(/api is up/)
    await expect.poll(() => terminal.mode()).toContain('-icanon')
    terminal.press('?')
    await terminal.seen(/show this help/)
    const from = terminal.output.length
    terminal.press('r')
    await terminal.seen(/1 web {2}2 api/, from)
    terminal.press('2')
    await terminal.seen(/api: started/, from)
    terminal.press(CTRL_C)
    expect(await terminal.exitCode).toBe(0)
    expect((await program.run('status')).stdout).toMatch(/web +running.*\n.*api +running/)
  })

  it('restores the mode of the terminal after Ctrl-C during its start, and after Ctrl-\\', async () => {
    await start({ web: echo('web is up') })
    const line = `'${process.execPath}' '${program.path}' attach; echo "code:$?"; stty -a`
    const shell = program.open('/bin/sh', ['-c', `trap : INT QUIT; while read -r _; do ${line}; done`])
    const leave = async (pattern: RegExp, key: string) => {
      const from = shell.output.length
      shell.press('\n')
      await shell.seen(pattern, from)
      shell.press(key)
      const [, code, mode] = await shell.seen(/code:(\d+)\r\n([^]*-echoprt)/, from)
      return [code, mode?.match(/-icanon|-echo /g)]
    }
    for (let round = 0; round < 3; round++) expect(await leave(/attached;/, CTRL_C)).toEqual(['0', null])
    expect(await leave(/web is up/, CTRL_BACKSLASH)).toEqual(['131', null])
  })
})
