import { once } from 'node:events'
import { chmod, chown, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Program } from '../test/rig/program.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

/**
 * A program with the effects of `npm ci` that set-up reads. It fails if the file `fail` exists, and waits for data if the socket
 * `hold` exists.
 */
const FAKE_NPM = `#!/usr/bin/env node
const fs = require('node:fs')
fs.appendFileSync('calls', 'npm ' + process.argv.slice(2).join(' ') + '\\n')
fs.rmSync('node_modules', { recursive: true, force: true })
function finish() {
  if (fs.existsSync('fail')) {
    console.error('npm error code EEXAMPLE')
    process.exit(1)
  }
  const { packages } = JSON.parse(fs.readFileSync('package-lock.json', 'utf8'))
  delete packages['']
  for (const path of Object.keys(packages)) {
    if (packages[path].optional) delete packages[path]
    else fs.mkdirSync(path, { recursive: true }), fs.writeFileSync(path + '/package.json', '{}')
  }
  fs.writeFileSync('node_modules/.package-lock.json', JSON.stringify({ packages }))
}
if (!fs.existsSync('hold')) finish()
else require('node:net').connect('hold').once('data', () => finish() ?? process.exit())
`

const FAKE_BUILD = `import fs from 'node:fs'
import { fingerprint } from './fingerprint.mjs'
fs.appendFileSync('calls', 'build\\n')
if (fs.readFileSync('src/a.ts', 'utf8').includes('broken')) throw new Error('src/a.ts is broken')
fs.mkdirSync('dist', { recursive: true })
fs.writeFileSync('dist/api.js', 'console.log("api runs")')
fs.writeFileSync('dist/sources', fingerprint(process.cwd()))
`

describe('the set-up of a clone (E-1)', () => {
  let clone = ''

  beforeEach(async () => {
    clone = await mkdtemp(join(tmpdir(), 'ponix-clone-'))
    await chmod(clone, 0o755)
    await cp(join(root, 'bin'), join(clone, 'bin'), { recursive: true })
    for (const script of ['setup', 'fingerprint', 'lock']) {
      await cp(join(root, `scripts/${script}.mjs`), join(clone, `scripts/${script}.mjs`))
    }
    await put('scripts/build.mjs', FAKE_BUILD)
    await put('fake/npm', FAKE_NPM)
    await chmod(join(clone, 'fake/npm'), 0o755)
    await put('fake/package.json', '{"type": "commonjs"}')
    await put('package.json', '{"type": "module"}')
    await put('src/a.ts', '')
    await lockPackages('1.0.0')
  })
  afterEach(() => rm(clone, { recursive: true, force: true }))

  async function put(path: string, text: string): Promise<void> {
    await mkdir(join(clone, path, '..'), { recursive: true })
    await writeFile(join(clone, path), text)
  }

  async function lockPackages(version: string): Promise<void> {
    const packages = {
      '': { version: '0.0.0' },
      'node_modules/a': { version, integrity: `sha-${version}` },
      'node_modules/other-system': { version, optional: true },
    }
    await put('package-lock.json', JSON.stringify({ packages }))
  }

  /** Returns the calls of npm and of the build since the previous call of this function. */
  async function calls(): Promise<readonly string[]> {
    const text = await readFile(join(clone, 'calls'), 'utf8').catch(() => '')
    await rm(join(clone, 'calls'), { force: true })
    return text.split('\n').filter((line) => line !== '')
  }

  function start(options: { readonly path?: string; readonly uid?: number; readonly args?: readonly string[] } = {}) {
    const path = options.path ?? `${join(clone, 'fake')}${delimiter}${process.env['PATH']}`
    const owner = options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }
    const args = [...(options.args ?? []), join(clone, 'bin/ponix-api.js')]
    return new Program(process.execPath, args, { ...owner, cwd: clone, env: { PATH: path } })
  }

  /** Makes npm wait: `held` resolves when it waits, `gone` when its process has ended. */
  async function holdNpm() {
    const server = createServer().listen(join(clone, 'hold'))
    await once(server, 'listening')
    const held: Promise<Socket[]> = once(server, 'connection')
    const gone = held.then(async ([socket]) => {
      server.close()
      if (socket !== undefined) await once(socket.on('error', () => {}).resume(), 'close')
    })
    const release = async (): Promise<void> => {
      for (const socket of await held) socket.end('go')
    }
    return { held, gone, release }
  }

  const INSTALL = expect.stringMatching(/^npm ci /)

  it('installs and builds a fresh clone, reports it on stderr, and then runs the program', async () => {
    const run = await start().outcome
    expect(run).toMatchObject({ code: 0, stdout: 'api runs\n' })
    expect(run.stderr).toMatch(/installing dependencies[^]*installed dependencies in[^]*building[^]*built in/)
    expect(await calls()).toEqual([INSTALL, 'build'])
  })

  it('does nothing and prints nothing when nothing has changed', async () => {
    await start().outcome
    await calls()
    expect(await start().outcome).toEqual({ code: 0, stdout: 'api runs\n', stderr: '' })
    expect(await calls()).toEqual([])
  })

  it('builds again when a source is changed, added or removed, but not when a test is', async () => {
    await start().outcome
    await calls()
    const steps = [
      () => put('src/a.ts', 'export {}'),
      () => put('services/api/new.ts', ''),
      () => rm(join(clone, 'services/api/new.ts')),
    ]
    for (const step of steps) {
      await step()
      await start().outcome
      expect(await calls()).toEqual(['build'])
    }
    await put('src/a.test.ts', '')
    await start().outcome
    expect(await calls()).toEqual([])
  })

  it('installs again when the lock file has other versions or a package is missing', async () => {
    await start().outcome
    await calls()
    await lockPackages('1.0.1')
    await start().outcome
    expect(await calls()).toEqual([INSTALL, 'build'])
    await rm(join(clone, 'node_modules/a'), { recursive: true })
    await start().outcome
    expect(await calls()).toEqual([INSTALL])
  })

  it('installs once when two programs start at the same time', async () => {
    const npm = await holdNpm()
    const first = start()
    await npm.held
    const second = start()
    await second.seen(new RegExp(`waiting for the set-up of process ${first.pid}`))
    await npm.release()
    expect(await first.outcome).toMatchObject({ code: 0, stdout: 'api runs\n' })
    expect(await second.outcome).toMatchObject({ code: 0, stdout: 'api runs\n' })
    expect(await calls()).toEqual([INSTALL, 'build'])
  })

  it.each(['SIGKILL', 'SIGTERM'] as const)(
    'completes a set-up that %s interrupted, and leaves no npm running',
    async (signal) => {
      const npm = await holdNpm()
      const first = start()
      await npm.held
      first.signal(signal)
      expect(await first.outcome).toMatchObject({ code: signal, stdout: '' })
      await npm.gone
      await rm(join(clone, 'hold'), { force: true })
      await calls()
      expect(await start().outcome).toMatchObject({ code: 0, stdout: 'api runs\n' })
      expect(await calls()).toEqual([INSTALL, 'build'])
    },
  )

  it('shows the output of a failed npm, and one line', async () => {
    await put('fail', '')
    const { code, stderr } = await start().outcome
    expect(code).toBe(1)
    expect(stderr).toMatch(/npm error code EEXAMPLE\nsetup: npm ci failed; the reason is above\n$/)
    expect(await calls()).toEqual([INSTALL])
  })

  it('shows the output of a failed build, and one line', async () => {
    await put('src/a.ts', 'broken')
    const { code, stderr } = await start().outcome
    expect(code).toBe(1)
    expect(stderr).toMatch(/src\/a\.ts is broken[^]*\nsetup: the build failed; the reason is above\n$/)
  })

  it('reports a missing npm in one line', async () => {
    const { code, stderr } = await start({ path: '/nowhere' }).outcome
    expect(code).toBe(1)
    expect(stderr).toMatch(/\nsetup: npm is not on PATH; install Node, which includes it: https:\/\/nodejs\.org\n$/)
  })

  it('reports missing write permission in one line', async () => {
    const isRoot = process.getuid?.() === 0
    if (isRoot) await chown(clone, 0, 0)
    else await chmod(clone, 0o555)
    const { code, stderr } = await start(isRoot ? { uid: 65_534 } : {}).outcome
    await chmod(clone, 0o755)
    expect(code).toBe(1)
    expect(stderr).toMatch(/^setup: cannot write to .*; run as the owner of the clone\n$/)
  })

  it('reports a too old version of Node in one line before it runs anything', async () => {
    const versions = `Object.defineProperty(process, 'versions', { value: { node: '20.18.3' } })`
    const { code, stderr } = await start({ args: ['--import', `data:text/javascript,${versions}`] }).outcome
    expect(code).toBe(1)
    expect(stderr).toMatch(/^ponix: Node 20\.19 or newer is required, this is v[\d.]+; get Node 24 .*\n$/)
    expect(await calls()).toEqual([])
  })
})
