import { afterEach, beforeEach, expect, it } from 'vitest'
import { echo } from '../../../../test/rig/orchestrator/control-commands.ts'
import { rowsOf, type Terminal, TerminalCommandLine } from '../../../../test/rig/orchestrator/terminal.ts'

let program: TerminalCommandLine
beforeEach(() => {
  program = new TerminalCommandLine()
})
afterEach(() => program.dispose())

const processes = {
  chatty: { command: 'n=0; while n=$((n+1)); do echo "line $n"; sleep 0.01; done', shell: true },
  worker: { ...echo('is up'), replicas: 2 },
}

/** Resolves when the last row of the terminal is this text. */
async function expectLastRow(terminal: Terminal, text: string): Promise<void> {
  await expect.poll(() => rowsOf(terminal.output).at(-1), { interval: 5 }).toBe(text)
}

/** Types a name into the prompt of `r` while a process writes lines; resolves with the rows of the terminal when both replicas restart. */
async function restartWorker(terminal: Terminal): Promise<readonly string[]> {
  await expect.poll(() => terminal.mode()).toContain('-icanon')
  await terminal.seen(/line \d+/)
  const from = terminal.output.length
  terminal.press('r')
  await expectLastRow(terminal, 'number or name (Esc cancels): ')
  terminal.press('w')
  await expectLastRow(terminal, 'number or name (Esc cancels): w')
  // Lines appear while the prompt is open.
  await terminal.seen(/line \d+\r\n(?:[^]*line \d+\r\n){20}/, terminal.output.length)
  await expectLastRow(terminal, 'number or name (Esc cancels): w')
  terminal.press('or\r')
  await terminal.seen(/worker#1: started/, from)
  await terminal.seen(/worker#2: started/, from)
  return rowsOf(terminal.output).slice(0, -1)
}

/** Returns the rows with a part of the prompt, or a part of a line of the chatty process. */
function tornRows(rows: readonly string[]): readonly string[] {
  return rows.filter((row) => /number or|line /.test(row) && !/^\[chatty\] +line \d+$/.test(row))
}

it('the prompt of r stays below the output of run, and restarts all replicas', async () => {
  program.writeConfig({ processes })
  const terminal = program.openProgram(['run'])
  await terminal.seen(/all 3 processes are ready after .*; press \? for the keys\r\n/)
  const rows = await restartWorker(terminal)
  expect(tornRows(rows)).toEqual([])
  expect(rows).toContain('restarting worker')
})

it('the prompt of r stays below the output of attach', async () => {
  program.writeConfig({ processes })
  await program.start().seen(/ready after/)
  const terminal = program.openProgram(['attach'])
  await terminal.seen(/press \? for the keys/)
  const rows = await restartWorker(terminal)
  expect(tornRows(rows)).toEqual([])
  expect(rows).toContain('restarting worker')
})

it('an ambiguous beginning is reported with its candidates, and Tab completes it', async () => {
  program.writeConfig({ processes: { worker: { ...echo('is up'), replicas: 2 }, workshop: echo('is up') } })
  const terminal = program.openProgram(['run'])
  await terminal.seen(/ready after/)
  await expect.poll(() => terminal.mode()).toContain('-icanon')
  terminal.press('r')
  await expectLastRow(terminal, 'number or name (Esc cancels): ')
  terminal.press('wo')
  await expectLastRow(terminal, 'number or name (Esc cancels): wo')
  terminal.press('\t')
  await expectLastRow(terminal, 'number or name (Esc cancels): work')
  terminal.press('\r')
  await terminal.seen(/"work" is ambiguous: worker#1, worker#2, workshop\r\n/)
})
