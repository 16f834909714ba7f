import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { sleeper } from '../../../../test/rig/orchestrator/control-commands.ts'
import { CommandLine } from '../../../../test/rig/orchestrator/command-line.ts'
import { Program } from '../../../../test/rig/program.ts'

let program: CommandLine
beforeEach(() => {
  program = new CommandLine()
  mkdirSync(join(program.folder, 'src'))
})
afterEach(() => program.dispose())

const touch = (path: string) => writeFileSync(join(program.folder, path), '')

/** The limit of inotify watches can be lowered only for a user namespace, which the system may not allow. */
const UNSHARE = ['unshare', '--user', '--map-root-user', 'sh', '-c']
const canLimit =
  spawnSync(UNSHARE[0] ?? '', [...UNSHARE.slice(1), 'echo 8 > /proc/sys/user/max_inotify_watches']).status === 0

describe('watch', () => {
  test('restarts a process whose file changes, and its followers', async () => {
    program.writeConfig({
      processes: {
        web: { ...sleeper, watch: { paths: ['src'], debounce_ms: 10 } },
        proxy: { ...sleeper, depends_on: ['web'], on_dependency_restart: 'restart' },
      },
    })
    const running = program.start()
    await running.seen(/web: restarts when src changes/)
    touch('src/app.js')
    await running.seen(
      /web: restarting, src\/app\.js has changed\n[^]*proxy: stopped[^]*web: stopped[^]*web: started[^]*proxy: started/,
    )
    expect(await running.stop()).toBe(0)
  })

  test('--watch adds a process without the key, which then watches its cwd; --no-watch ignores all keys', async () => {
    program.writeConfig({ processes: { web: sleeper, tool: { ...sleeper, watch: { paths: ['src'] } } } })
    const watching = program.start('run', '--watch', 'web,tool')
    await watching.seen(/tool: restarts when src changes/)
    await watching.seen(/web: restarts when .* changes/)
    touch('a.js')
    await watching.seen(/web: restarting, a\.js has changed/)
    await watching.stop()
    const still = program.start('--no-watch')
    await still.seen(/ready after/)
    await still.stop()
    expect((await still.outcome).stderr).not.toContain('restarts when')
  })

  test('follows a reload that adds, changes and removes it', async () => {
    const web = { ...sleeper, watch: { paths: ['src'], debounce_ms: 10 } }
    program.writeConfig({ processes: { web: sleeper } })
    const running = program.start()
    await running.seen(/ready after/)
    program.writeConfig({ processes: { web } })
    expect((await program.run('reload')).code).toBe(0)
    await running.seen(/web: restarts when src changes/)
    program.writeConfig({ processes: { web: { ...web, watch: { ...web.watch, paths: ['lib'] } } } })
    await program.run('reload')
    await running.seen(/web: restarts when lib changes/)
    touch('src/ignored.js')
    mkdirSync(join(program.folder, 'lib'))
    touch('lib/a.js')
    await running.seen(/web: restarting, lib\/a\.js has changed/)
    program.writeConfig({ processes: { web: sleeper } })
    await program.run('reload')
    await running.stop()
    expect((await running.outcome).stderr).not.toContain('src/ignored.js')
  })

  test.skipIf(!canLimit)('reports the limit of file watches in one line and keeps supervising', async () => {
    for (let number = 0; number < 20; number++) mkdirSync(join(program.folder, 'src', String(number)))
    program.writeConfig({ processes: { web: { ...sleeper, watch: { paths: ['src'] } } } })
    const limit = 'echo 8 > /proc/sys/user/max_inotify_watches && exec "$0" "$@"'
    const [command, ...args] = [...UNSHARE, limit, process.execPath, program.path]
    await using running = new Program(command, args, {
      cwd: program.folder,
      env: { ...process.env, XDG_RUNTIME_DIR: program.folder },
      detached: true,
    })
    await running.seen(/web: watch: the system's limit of file watches is reached \(ENOSPC\)/)
    expect(await running.stop()).toBe(0)
    expect(running.stderr.match(/ENOSPC/g)).toHaveLength(1)
  })
})
