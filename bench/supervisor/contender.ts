import { spawnSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** One child of a measurement: a line for /bin/sh. */
export interface BenchChild {
  readonly name: string
  readonly line: string
}

export interface Job {
  /** For configuration and state of this run alone. */
  readonly folder: string
  readonly children: readonly BenchChild[]
  /** Whether a child that ends is started again, at once. */
  readonly restarts: boolean
}

/** A program that runs children under prefixes: ours, the bare one, or a peer. */
export interface Contender {
  readonly name: string
  /** The command line that does the job in the foreground, and ends on SIGTERM. Writes what it needs into the job's folder. */
  command(job: Job): { readonly args: readonly [string, ...string[]]; readonly env?: Readonly<Record<string, string>> }
}

/** Ours, from a package folder that holds a build. */
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

/** The simplest program that does the same, from the folder of the built benches. */
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

/** https://github.com/open-cli-tools/concurrently, from its package folder. */
export function concurrently(packageFolder: string): Contender {
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

/** https://github.com/Unitech/pm2 as its own foreground program, from its package folder. */
export function pm2(packageFolder: string): Contender {
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

/** https://github.com/F1bonacc1/process-compose, if it is on the PATH; null otherwise. */
export function processCompose(): Contender | null {
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
