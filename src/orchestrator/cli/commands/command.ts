import { existsSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { nearestFile } from '../../config/source/nearest-file.ts'
import type { FileOptions } from '../options.ts'

/** Returns the options as typed. Without `--config`, the file is the nearest one that exists, in the working directory or above. */
export function fileOptions(program: Command, exists: (path: string) => boolean = existsSync): FileOptions {
  const typed = typedFileOptions(program)
  return program.getOptionValueSource('config') === 'default' ? { ...typed, config: nearestFile({ exists }) } : typed
}

/** Returns the options as typed. Without `--config`, the file is in the working directory. */
export function typedFileOptions(program: Command): FileOptions {
  return { only: [], disable: [], profile: [], ...program.opts<Pick<FileOptions, 'config'> & Partial<FileOptions>>() }
}

/**
 * Adds the names of a comma-separated list to those of earlier options. A text without names is added unchanged, so that it is
 * reported as unknown.
 */
export function addNames(typed: string, before: readonly string[] | false = []): readonly string[] {
  const names = typed
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
  return [...(before === false ? [] : before), ...(names.length === 0 ? [typed] : names)]
}

/** `subject` begins the description. */
export function dependenciesOption(subject = 'also'): Option {
  return new Option('--with-dependencies', `${subject} everything that they depend on`)
}
