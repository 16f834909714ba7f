import { once } from 'node:events'
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { embedded } from '../../test/rig/program.ts'
import type { Program } from '../../test/rig/program.ts'
import { freePort } from '../../test/rig/servers.ts'

const servers = ['postgres', 'nats', 'clickhouse', 'mqtt'] as const
/** The servers that run as a separate program and keep data. */
const programs = ['postgres', 'nats'] as const

let parent = ''
let runs: Program[] = []

beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), 'ponix-embedded-'))
  // PostgreSQL runs as another user than root.
  await chmod(parent, 0o755)
})
afterEach(async () => {
  for (const run of runs) run.signal('SIGTERM')
  await Promise.all(runs.map((run) => run.outcome))
  runs = []
})
afterAll(() => rm(parent, { recursive: true, force: true }))

/** Returns the data folder of a server, which its tests share because creating a database takes seconds. */
function dataOf(name: string): string {
  return join(parent, name)
}

function start(name: string, port: number, ...more: readonly string[]): Program {
  const run = embedded([name, '--port', String(port), '--data', dataOf(name), ...more])
  runs.push(run)
  return run
}

/** Returns the id of the process of a server that runs as a separate program. */
async function serverPid(name: string): Promise<number> {
  return Number(await readFile(join(dataOf(name), 'server.pid'), 'utf8'))
}

describe.each(servers)('ponix-embedded %s (E-2)', (name) => {
  it('announces readiness when it accepts connections, and exits with code 0 on SIGTERM', async () => {
    const port = await freePort()
    const run = start(name, port)
    await run.ready()
    expect(await accepts(port)).toBe(true)
    run.signal('SIGTERM')
    expect(await run.outcome).toMatchObject({ code: 0 })
    expect(await accepts(port)).toBe(false)
  })

  it('reports a port in use with one line and exit code 1', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const address = other.address()
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0
    const { code, stdout } = await start(name, port).outcome
    other.close()
    expect(code).toBe(1)
    const errors = stdout.split('\n').filter((line) => line.includes('"level":"error"'))
    expect(errors).toEqual([
      expect.stringMatching(
        new RegExp(
          `port ${port} of 127\\.0\\.0\\.1, which .* needs, is in use by another program: stop that program, or`,
        ),
      ),
    ])
  })

  it('rejects a data folder in use, names the process that uses it, and leaves that process running', async () => {
    const port = await freePort()
    const first = start(name, port)
    await first.ready()
    const { code, stdout } = await start(name, await freePort()).outcome
    expect(code).toBe(1)
    expect(stdout).toContain(`the data folder ${dataOf(name)} is in use by process ${first.pid}: stop it`)
    expect(await accepts(port)).toBe(true)
  })

  it('stops at the end of its standard input with --stop-with-stdin', async () => {
    const run = start(name, await freePort(), '--stop-with-stdin')
    await run.ready()
    run.endInput()
    expect(await run.outcome).toMatchObject({ code: 0 })
  })
})

describe.each(programs)('ponix-embedded %s, killed with SIGKILL (E-2)', (name) => {
  it('does not leave its server running', async () => {
    const port = await freePort()
    const run = start(name, port)
    await run.ready()
    const server = await serverPid(name)
    run.signal('SIGKILL')
    await run.outcome
    await vi.waitUntil(() => !isAlive(server), { timeout: 10_000 })
    expect(await accepts(port)).toBe(false)
  })

  it('starts again immediately on the same port and data while the old server still runs', async () => {
    const port = await freePort()
    const first = start(name, port)
    await first.ready()
    const pid = await serverPid(name)
    first.signal('SIGKILL')
    await first.outcome
    const second = start(name, port)
    await second.ready()
    expect(await serverPid(name)).not.toBe(pid)
    expect(await accepts(port)).toBe(true)
  })

  it('stops the server of an earlier run that is still running', async () => {
    const port = await freePort()
    const first = start(name, port)
    await first.ready()
    const orphan = await serverPid(name)
    process.kill(orphan, 'SIGSTOP')
    first.signal('SIGKILL')
    await first.outcome
    const second = start(name, port)
    process.kill(orphan, 'SIGCONT')
    await second.ready()
    expect(await serverPid(name)).not.toBe(orphan)
  })
})

describe('ponix-embedded', () => {
  it.each([
    [
      ['redis'],
      /^ponix-embedded: unknown command "redis"; the commands are postgres, nats, clickhouse, mqtt, install\n$/,
    ],
    [['postgres', '--port', '70000'], /expected a port from 1 to 65535/],
    [['postgres', '--prot', '1'], /^ponix-embedded: unknown option '--prot' \(Did you mean --port\?\)\n$/],
    [['install', 'redis'], /Allowed choices are postgres, nats, clickhouse, mqtt/],
  ])('rejects %j with one line and exit code 2', async (args, message) => {
    const { code, stderr } = await embedded(args).outcome
    expect(code).toBe(2)
    expect(stderr).toMatch(message)
  })
})

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

/** The server is not a child of this process, so no `exit` event reports its end. */
function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
