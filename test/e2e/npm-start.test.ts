import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

test('O-37 npm start ends with 0 on Ctrl-C, which a terminal sends to npm, its shell and the orchestrator alike', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ponix-npm-start-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const config = join(folder, 'x.json')
  await writeFile(config, JSON.stringify({ processes: { one: { command: 'sleep', args: ['600'] } } }))

  // `script` gives it a terminal of its own, in which 0x03 is Ctrl-C; a shell that waited for npm would die of that itself.
  const terminal = spawn('script', ['-qefc', `exec npm start -- --config ${config}`, '/dev/null'], {
    cwd: root,
    detached: true,
    env: { ...process.env, XDG_RUNTIME_DIR: folder },
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  onTestFinished(() => {
    if (terminal.exitCode === null) terminal.kill('SIGKILL')
  })
  const ended = once(terminal, 'close')
  for await (const line of createInterface({ input: terminal.stdout })) {
    if (line.includes('process is ready')) terminal.stdin.write('\u0003')
  }
  expect(await ended).toEqual([0, null])
})
