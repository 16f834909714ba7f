import { execFileSync } from 'node:child_process'
import { request } from 'node:http'
import { describe, expect, test } from 'vitest'
import { runFolder } from '../supervisor/guard/run-folder.ts'
import { controlCommands, echo } from '../../../test/rig/control-commands.ts'
import { openRig } from '../../../test/rig/supervised-graph.ts'

const control = controlCommands()
const { start, status } = control

describe('the command logs (O-9)', () => {
  test('prints the last lines of all or of the named processes with their prefixes', async () => {
    await start({
      web: { command: 'for i in 1 2 3; do echo line $i; done; exec sleep 600', shell: true },
      b: echo('hello'),
    })
    await control.running?.seen(/line 3/)
    await control.running?.seen(/hello/)
    const all = await control.program.run('logs', '--tail', '2')
    expect(all.stdout.split('\n').sort()).toEqual([
      '',
      '[b]            hello',
      '[web]          line 2',
      '[web]          line 3',
    ])
    expect((await control.program.run('logs', '--tail', '1', 'web')).stdout).toBe('[web]          line 3\n')
    const [line] = (await control.program.run('logs', '--json', 'b')).stdout.split('\n')
    expect(JSON.parse(line ?? '')).toEqual({ time: expect.any(Number), process: 'b', stream: 'stdout', line: 'hello' })
  })

  test('streams new lines with -f until the orchestrator ends', async () => {
    const rig = await openRig()
    await start({ a: rig.program('a') })
    const a = await rig.nextStart('a')
    await a.print('before\n')
    const following = control.program.start('logs', '-f', 'a')
    await following.seen(/before/)
    await a.printError('after\n')
    await following.seen(/\[a\] +after/)
    control.running?.signal('SIGTERM')
    expect((await following.outcome).code).toBe(0)
  })

  test('counts the lines that a stuck follower missed, and slows no process', async () => {
    const rig = await openRig()
    const { child } = await start({ a: rig.program('a') })
    child.stdout?.resume()
    await status()
    const a = await rig.nextStart('a')
    const { socketPath } = runFolder(`${control.program.folder}/commonplace.json`, {
      XDG_RUNTIME_DIR: control.program.folder,
    })
    const response = await new Promise<NodeJS.ReadableStream>((resolve) => {
      request({ socketPath, path: '/logs?tail=0&follow=1' }, resolve).end()
    })
    await a.print(`${'x'.repeat(1023)}\n`, 64 * 1024)
    let text = ''
    let isTold = false
    for await (const chunk of response) {
      text += String(chunk)
      if (!isTold && /\{"dropped":\d+\}\n/.test(text)) {
        isTold = true
        await a.print('the last one\n')
      }
      if (text.includes('the last one')) break
    }
    expect(text).toMatch(/\{"dropped":\d+\}\n[^]*the last one/)
    expect(text.length).toBeLessThan(32 * 1024 * 1024)
  })

  test('shows pino records in readable form at a terminal and unchanged elsewhere', async () => {
    const record = '{"level":30,"time":1,"pid":2,"hostname":"h","name":"web","msg":"listening","port":80}'
    await start({ web: { command: `echo '${record}'; exec sleep 600`, shell: true } })
    await control.running?.seen(/listening/)
    expect((await control.program.run('logs')).stdout).toBe(`[web]          ${record}\n`)
    const shown = execFileSync('script', ['-qec', `${process.execPath} ${control.program.path} logs`, '/dev/null'], {
      cwd: control.program.folder,
      env: { ...process.env, XDG_RUNTIME_DIR: control.program.folder, NO_COLOR: '1' },
      encoding: 'utf8',
    })
    expect(shown).toMatch(/^\[web\] {10}\[[\d:.]+\] INFO: listening \{"port":80\}\r\n$/)
  })

  test('prints one line for an invalid --tail', async () => {
    expect(await control.program.run('logs', '--tail', 'many')).toEqual({
      code: 2,
      stdout: '',
      stderr: 'ponix-orchestrator: --tail "many": expected a whole number of 0 or more\n',
    })
  })
})
