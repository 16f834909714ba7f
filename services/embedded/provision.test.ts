import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { embedded } from '../../test/rig/program.ts'
import type { Program } from '../../test/rig/program.ts'
import { freePort } from '../../test/rig/servers.ts'

/** Installs a broker that does nothing. Fails if the file `fail` exists; waits for data from the socket `hold` if it exists. */
const FAKE_NPM = `#!${process.execPath}
const fs = require('node:fs')
const home = require('node:path').dirname(__filename)
fs.appendFileSync(home + '/calls', process.argv.slice(2).join(' ') + '\\n')
fs.mkdirSync('node_modules/aedes', { recursive: true })
fs.writeFileSync('node_modules/aedes/package.json', '{"type": "module", "exports": "./aedes.js"}')
function finish() {
  if (fs.existsSync(home + '/fail')) {
    console.error('npm error code ENOTFOUND')
    process.exit(1)
  }
  const broker = '{ persistence: { outgoingStream() {} }, handle() {}, close(done) { done() } }'
  fs.writeFileSync('node_modules/aedes/aedes.js', 'export const Aedes = { createBroker: async () => (' + broker + ') }')
}
if (!fs.existsSync(home + '/hold')) finish()
else require('node:net').connect(home + '/hold').once('data', () => finish() ?? process.exit())
`

describe('provisioning (E-3)', () => {
  let folder = ''
  let runs: Program[] = []

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ponix-provision-'))
    runs = []
    await writeFile(join(folder, 'npm'), FAKE_NPM)
    await writeFile(join(folder, 'package.json'), '{"type": "commonjs"}')
    await chmod(join(folder, 'npm'), 0o755)
  })
  afterEach(async () => {
    for (const run of runs) run.signal('SIGTERM')
    await Promise.all(runs.map((run) => run.outcome))
    await rm(folder, { recursive: true, force: true })
  })

  async function startBroker(data: string): Promise<Program> {
    const args = ['mqtt', '--port', String(await freePort()), '--data', join(folder, data)]
    const env = { PONIX_SERVERS_DIR: join(folder, 'servers'), PATH: `${folder}:${process.env['PATH']}` }
    const run = embedded(args, env)
    runs.push(run)
    return run
  }

  async function writeProgram(path: string, command: string): Promise<void> {
    await writeFile(path, `#!/bin/sh\n${command}\n`)
    await chmod(path, 0o755)
  }

  async function holdNpm() {
    const server = createServer((socket) => socket.on('error', () => {})).listen(join(folder, 'hold'))
    await once(server, 'listening')
    const held: Promise<Socket[]> = once(server, 'connection')
    return {
      held,
      async letGo() {
        const [socket] = await held
        socket?.end('go')
        server.close()
      },
    }
  }

  async function installations(): Promise<readonly string[]> {
    const text = await readFile(join(folder, 'calls'), 'utf8').catch(() => '')
    return text.split('\n').filter((line) => line !== '')
  }

  it('installs a pinned version at the first start only', async () => {
    const first = await startBroker('a')
    await first.ready()
    const second = await startBroker('b')
    await second.ready()
    expect(await installations()).toEqual([expect.stringMatching(/^install .* aedes@1\.2\.0$/)])
    first.signal('SIGTERM')
    const { stdout } = await first.outcome
    expect(stdout).toMatch(/installing aedes-1\.2\.0 into [^]*installed aedes-1\.2\.0 in /)
  })

  it('installs once for two concurrent starts', async () => {
    const npm = await holdNpm()
    const first = await startBroker('a')
    await npm.held
    const second = await startBroker('b')
    await second.seen(new RegExp(`waiting for process ${first.pid}, which is installing aedes-1.2.0`))
    await npm.letGo()
    await Promise.all([first.ready(), second.ready()])
    expect(await installations()).toHaveLength(1)
  })

  it('repeats an installation whose process was killed', async () => {
    const npm = await holdNpm()
    const first = await startBroker('a')
    await npm.held
    first.signal('SIGKILL')
    await first.outcome
    await npm.letGo()
    await rm(join(folder, 'hold'), { force: true })
    const second = await startBroker('a')
    await second.ready()
    expect(await installations()).toHaveLength(2)
    expect(await readdir(join(folder, 'servers'))).toEqual(['aedes-1.2.0', 'lock-aedes-1.2.0'])
  })

  it('stops on SIGTERM during an installation and leaves no partial folder', async () => {
    const npm = await holdNpm()
    const run = await startBroker('a')
    await npm.held
    run.signal('SIGTERM')
    expect(await run.outcome).toMatchObject({ code: 0 })
    expect(await readdir(join(folder, 'servers'))).toEqual(['lock-aedes-1.2.0'])
    await npm.letGo()
  })

  it('reports a failed installation with one line', async () => {
    await writeFile(join(folder, 'fail'), '')
    const { code, stdout } = await (await startBroker('a')).outcome
    expect(code).toBe(1)
    expect(stdout).toContain(
      'npm could not install aedes@1.2.0: npm error code ENOTFOUND; check that the registry is reachable',
    )
    expect(stdout).not.toContain('    at ')
  })

  it('reports with one line how to get nats-server if neither nats-server nor apt is available', async () => {
    const args = ['nats', '--port', String(await freePort()), '--data', join(folder, 'data')]
    const run = embedded(args, { PONIX_SERVERS_DIR: join(folder, 'servers'), PATH: folder })
    const { code, stdout } = await run.outcome
    expect(code).toBe(1)
    expect(stdout).toMatch(/there is no nats-server 2\.10\.5 or newer on PATH: install it (with|from https:)/)
  })

  it('uses nats-server from PATH', async () => {
    await writeProgram(join(folder, 'nats-server'), 'echo nats-server: v2.10.5')
    const run = embedded(['install', 'nats'], { PONIX_SERVERS_DIR: join(folder, 'servers'), PATH: folder })
    const { code, stdout } = await run.outcome
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining(`NATS is in ${folder}`) })
  })

  it('E-7 replaces an old nats-server, on PATH or of an earlier installation, by a package that is new enough', async () => {
    const servers = join(folder, 'servers')
    const [onPath, earlier] = [join(folder, 'nats-server'), join(servers, 'nats-server-apt', 'nats-server')]
    await mkdir(dirname(earlier), { recursive: true })
    for (const path of [onPath, earlier]) await writeProgram(path, 'echo nats-server: v2.9.10')
    const env = { PONIX_SERVERS_DIR: servers, PATH: `${folder}:${process.env['PATH']}` }
    const { code, stdout } = await embedded(['install', 'nats'], env).outcome
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining(`NATS is in ${servers}`) })
    const installed = /NATS is in ([^"\s]+)/.exec(stdout)?.[1] ?? ''
    const { stdout: version } = await promisify(execFile)(join(installed, 'nats-server'), ['--version'])
    expect(version).toMatch(/v2\.(1\d|[2-9]\d)\./)
    expect(await readdir(servers)).not.toContain('nats-server-apt')
    // It downloads a server.
  }, 180_000)
})
