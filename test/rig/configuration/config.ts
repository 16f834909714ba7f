import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inject } from 'vitest'
import { type LoadedConfig, type LoadOptions, loadConfig } from '../../../src/orchestrator/config/load.ts'
import { plainOptions } from './load-options.ts'
import { ConfigError } from '../../../src/orchestrator/config/errors.ts'
import type { ResolvedProcess } from '../../../src/orchestrator/config/resolved.ts'

/** The folder of the configuration file. */
export const folder = mkdtempSync(join(inject('folder'), 'config-'))
export const path = join(folder, 'commonplace.json')

export function load(source: unknown, options: Partial<LoadOptions> = {}): LoadedConfig {
  writeFileSync(path, typeof source === 'string' ? source : JSON.stringify(source, null, 2))
  return loadConfig({
    path,
    ...plainOptions,
    environment: { HOME: '/home/me', PATH: '/usr/bin' },
    ...options,
  })
}

export function failure(source: unknown, options: Partial<LoadOptions> = {}): ConfigError {
  try {
    load(source, options)
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
  throw new Error('the configuration was accepted; expected a ConfigError')
}

/** Returns the problems as `path: message`. */
export function problems(source: unknown, options: Partial<LoadOptions> = {}): readonly string[] {
  return failure(source, options).problems.map((problem) => `${problem.path}: ${problem.message}`)
}

/** Returns the process of a file with a single process. */
export function one(process: object, options: Partial<LoadOptions> = {}, rest: object = {}): ResolvedProcess {
  const [resolved] = load({ ...rest, processes: { store: { command: 'my-store', ...process } } }, options).processes
  if (resolved === undefined) throw new Error('no process')
  return resolved
}

export const store = { command: 'my-store' }
