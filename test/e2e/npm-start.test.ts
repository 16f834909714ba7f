import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { Program, projectRoot } from '../rig/program.ts'

test('O-37 npm start exits with 0 on Ctrl-C, which a terminal sends to npm, its shell and the orchestrator', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ponix-npm-start-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const config = join(folder, 'x.json')
  await writeFile(config, JSON.stringify({ processes: { one: { command: 'sleep', args: ['600'] } } }))

  // `script` provides a terminal, in which 0x03 is Ctrl-C. Without `exec`, Ctrl-C would end the shell of `script`.
  const terminal = new Program('script', ['-qefc', `exec npm start -- --config ${config}`, '/dev/null'], {
    cwd: projectRoot,
    detached: true,
    env: { ...process.env, XDG_RUNTIME_DIR: folder },
    stdin: true,
  })
  await terminal.seen(/process is ready/)
  terminal.child.stdin?.write('\u0003')
  expect(await terminal.outcome).toMatchObject({ code: 0 })
})
