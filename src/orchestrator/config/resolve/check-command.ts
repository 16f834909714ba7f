import { existsSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import type { ProblemList } from '../source/problems.ts'
import { redact } from '../redact.ts'
import type { ResolvedProcess } from '../resolved.ts'

const shellSyntax = /[|&;<>()`$*?~#]|^\w+=/

/** Adds a problem for each command that is a command line instead of a program. */
export function checkCommands(processes: readonly ResolvedProcess[], problems: ProblemList): void {
  for (const { configName, command, shell, cwd, env, secretNames } of processes) {
    if (shell || !/\S\s+\S/.test(command)) continue
    const exists = (name: string) => programPaths(name, cwd, env['PATH'] ?? '').some((path) => existsSync(path))
    if (!exists(command) && isCommandLine(command, exists)) {
      problems.add(['processes', configName, 'command'], describeCommandLine(command, secretNames))
    }
  }
}

/** Returns whether a command with spaces, which does not exist, has arguments. A path can have spaces of its own. */
function isCommandLine(command: string, exists: (name: string) => boolean): boolean {
  const [first = '', ...rest] = command.trim().split(/\s+/)
  return !first.includes('/') || exists(first) || rest.some((word) => word.startsWith('-'))
}

function programPaths(name: string, cwd: string, path: string): readonly string[] {
  if (name.includes('/')) return [resolve(cwd, name)]
  return path.split(delimiter).map((folder) => join(folder, name))
}

/** Returns the problem with its correction, without secrets. */
export function describeCommandLine(command: string, secretNames: readonly string[]): string {
  const words = command.match(/"[^"]*"|'[^']*'|[^\s"']+/g) ?? []
  const [program, ...args] = words.map((word) => JSON.stringify(word.replaceAll(/^(["'])(.*)\1$/g, '$2')))
  const list = [program, ...args].join(', ')
  const hasSecret = redact(list, secretNames) !== list || redact(command, secretNames) !== command
  const shown = hasSecret ? 'a command line' : JSON.stringify(command)
  if (shellSyntax.test(command)) return `${shown} is not a program: add "shell": true, which runs it with /bin/sh -c`
  const separate = hasSecret ? '"command" and "args"' : `"command": ${program}, "args": [${args.join(', ')}]`
  return `${shown} is not a program: write ${separate}, or "shell": true`
}
