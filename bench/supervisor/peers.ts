import { spawnSync } from 'node:child_process'
import { existsSync, writeFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'

/** One child of a measurement: a command line for /bin/sh. */
export interface BenchChild {
  readonly name: string
  readonly line: string
}

export interface Job {
  /** Folder for the configuration and state of this run. */
  readonly folder: string
  readonly children: readonly BenchChild[]
  /** Whether a child that exits is restarted immediately. */
  readonly restarts: boolean
}

/** A program that runs children and prefixes their output: ours, the bare program, or a peer. */
export interface Contender {
  readonly name: string
  /** Returns a command line that runs the job in the foreground and exits on SIGTERM. Writes its files to the folder of the job. */
  command(job: Job): { readonly args: readonly [string, ...string[]]; readonly env?: Readonly<Record<string, string>> }
}

/** Returns the supervisor of this repository, from a package folder that contains a build. */
export function ours(packageFolder: string): Contender {
  return {
    name: 'ours',
    command: ({ folder, children, restarts }) => {
      const restart = restarts ? { backoff_ms: 0, max_backoff_ms: 0 } : { policy: 'never' }
      const processes = children.map(({ name, line }) => [name, { command: line, shell: true, restart }])
      const config = writeJson(folder, 'commonplace.json', { processes: Object.fromEntries(processes) })
      return { args: [process.execPath, join(packageFolder, 'bin/ponix-orchestrator.js'), '--config', config] }
    },
  }
}

/** Returns the simplest Node program that does the same, from the folder of the built benchmarks. */
export function bare(programs: string): Contender {
  return {
    name: 'bare Node',
    command: ({ children, restarts }) => {
      const named = children.flatMap(({ name, line }) => [name, line])
      const program = join(programs, 'bare-supervisor.js')
      return { args: [process.execPath, program, ...(restarts ? ['--restart'] : []), ...named] }
    },
  }
}

/** Returns https://github.com/open-cli-tools/concurrently, from its package folder. */
function concurrently(packageFolder: string): Contender {
  return {
    name: 'concurrently',
    command: ({ children, restarts }) => {
      const program = join(packageFolder, 'dist/bin/concurrently.js')
      const restart = restarts ? ['--restart-tries', '-1', '--restart-after', '0'] : []
      const names = children.map(({ name }) => name).join(',')
      return {
        args: [process.execPath, program, ...restart, '--names', names, ...children.map(({ line }) => line)],
      }
    },
  }
}

/** Returns https://github.com/Unitech/pm2 as `pm2-runtime` in the foreground, from its package folder. */
function pm2(packageFolder: string): Contender {
  return {
    name: 'pm2-runtime',
    command: ({ folder, children, restarts }) => {
      const apps = children.map(({ name, line }) => ({
        name,
        script: '/bin/sh',
        args: ['-c', line],
        interpreter: 'none',
        autorestart: restarts,
        max_restarts: 1_000_000,
        out_file: '/dev/null',
        error_file: '/dev/null',
      }))
      const config = writeJson(folder, 'bench.config.json', { apps })
      return {
        args: [process.execPath, join(packageFolder, 'bin/pm2-runtime'), 'start', config],
        env: { PM2_HOME: join(folder, 'pm2'), PM2_DISCRETE_MODE: 'true' },
      }
    },
  }
}

/** Returns https://github.com/F1bonacc1/process-compose; null if it is not on PATH. */
function processCompose(): Contender | null {
  if (spawnSync('process-compose', ['version']).status !== 0) return null
  return {
    name: 'process-compose',
    command: ({ folder, children, restarts }) => {
      const availability = { restart: restarts ? 'always' : 'no', backoff_seconds: 0 }
      const processes = children.map(({ name, line }) => [name, { command: line, availability }])
      const config = writeJson(folder, 'process-compose.json', {
        version: '0.5',
        shell: { shell_command: '/bin/sh', shell_argument: '-c' },
        processes: Object.fromEntries(processes),
      })
      return { args: ['process-compose', '--config', config, '--tui=false', '--no-server', 'up'] }
    },
  }
}

function writeJson(folder: string, name: string, value: object): string {
  const path = join(folder, name)
  if (!existsSync(path)) writeFileSync(path, JSON.stringify(value))
  return path
}

/** The newest versions that run on the oldest supported Node. */
const PACKAGES = [
  { name: 'concurrently', version: '9.2.5', make: concurrently },
  { name: 'pm2', version: '7.0.4', make: pm2 },
] as const

export interface Peers {
  readonly present: readonly Contender[]
  /** The reason for each peer that is not available. */
  readonly missing: ReadonlyMap<string, string>
}

/** Installs the pinned versions of the peers into a private folder. A peer that cannot be installed is left out. */
export function installPeers(folder: string): Peers {
  const present: Contender[] = []
  const missing = new Map<string, string>()
  for (const { name, version, make } of PACKAGES) {
    const home = join(folder, `${name}-${version}`)
    const path = join(home, 'node_modules', name)
    const problem = existsSync(join(home, 'complete')) ? null : install(home, `${name}@${version}`)
    if (problem === null) present.push(make(path))
    else missing.set(name, problem)
  }
  const compose = processCompose()
  if (compose === null) missing.set('process-compose', 'not installed')
  else present.push(compose)
  return { present, missing }
}

/** Installs a package; returns null, or the reason of the failure. Install scripts are off: neither peer needs one. */
function install(home: string, spec: string): string | null {
  mkdirSync(home, { recursive: true })
  writeFileSync(join(home, 'package.json'), '{"private": true}\n')
  const flags = ['--no-save', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  console.error(`bench: installing ${spec}`)
  const { status, stderr, error } = spawnSync('npm', ['install', '--prefix', home, ...flags, spec], {
    cwd: home,
    encoding: 'utf8',
  })
  if (status !== 0) return error?.message ?? stderr.trim().split('\n')[0] ?? `npm exited with ${status}`
  writeFileSync(join(home, 'complete'), '')
  return null
}
