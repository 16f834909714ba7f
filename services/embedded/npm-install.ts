import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ServerError } from '../../src/domain/errors.ts'
import { lastLines, runCommand } from './run-command.ts'

/**
 * Installs packages (`aedes@1.2.0`) from the registry into a folder of their own. Install scripts do not run, as npm is
 * about to have it: whoever needs one runs it explicitly.
 */
export async function npmInstall(folder: string, packages: readonly string[], signal: AbortSignal): Promise<void> {
  await writeFile(join(folder, 'package.json'), '{"private": true}\n')
  const flags = ['--no-save', '--no-package-lock', '--ignore-scripts', '--include=optional', '--no-audit', '--no-fund']
  const args = ['install', '--prefix', folder, ...flags, '--loglevel=error', ...packages]
  const { code, output } = await runCommand('npm', args, { cwd: folder, env: outerEnvironment(), signal })
  signal.throwIfAborted()
  if (code === 0) return
  const reason = lastLines(output, 3) || 'no reason given'
  throw new ServerError(`npm could not install ${packages.join(' ')}: ${reason}; is the registry within reach?`)
}

/** This program's environment without what an `npm start` or `npm test` around it says about its own package. */
export function outerEnvironment(): NodeJS.ProcessEnv {
  const inner = /^npm_(package|lifecycle|command|config_(local_prefix|prefix|global_prefix|omit|include))/i
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !inner.test(name)))
}
