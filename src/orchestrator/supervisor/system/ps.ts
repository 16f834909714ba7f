import { execFileSync } from 'node:child_process'
import type { ProcessInfo, ProcessSource } from './process-source.ts'

/** Columns that ps of Linux, macOS and the BSDs have. `lstart` has five words; `comm`, the last, can contain spaces. */
const COLUMNS = ['pid', 'ppid', 'pgid', 'stat', 'time', 'rss', 'lstart', 'comm']
/** The numbers of words before the start time, and before the program. */
const BEFORE_START = 6
const BEFORE_PROGRAM = 11

/** The options that show environments: the first of macOS, the second of Linux and FreeBSD. Each fails on the other. */
const SHOW_ENVIRONMENT = [['-A', '-E', '-ww'], ['axeww']]
const MAX_BYTES = 64 * 1024 * 1024

/** Runs the program ps, which takes some ten milliseconds. Empty if there is no such program. */
export class PsSource implements ProcessSource {
  /** macOS hides the environment of its own programs. */
  readonly seesAllTags = false
  #showEnvironment: readonly string[] | null = null

  list(pids?: readonly number[]): readonly ProcessInfo[] {
    if (pids?.length === 0) return []
    const selection = pids === undefined ? ['-A'] : ['-p', pids.join(',')]
    const output = runPs([...selection, ...columns(COLUMNS)]) ?? ''
    return output.split('\n').flatMap((line) => parseLine(line) ?? [])
  }

  withVariable(name: string, prefix: string): readonly { readonly pid: number; readonly value: string }[] {
    return this.#environments()
      .split('\n')
      .flatMap((line) => {
        const [, pid, value] = new RegExp(String.raw`^\s*(\d+) .*? ${name}=(\S*)`).exec(line) ?? []
        return pid === undefined || value === undefined || !value.startsWith(prefix)
          ? []
          : [{ pid: Number(pid), value }]
      })
  }

  /** Splits at spaces, because ps does not show where arguments end. */
  commandLine(pid: number): readonly string[] {
    const line = runPs(['-ww', '-p', String(pid), ...columns(['args'])])?.trim() ?? ''
    return line === '' ? [] : line.split(/\s+/)
  }

  #environments(): string {
    const options = this.#showEnvironment === null ? SHOW_ENVIRONMENT : [this.#showEnvironment]
    for (const option of options) {
      const output = runPs([...option, ...columns(['pid', 'command'])])
      if (output === null) continue
      this.#showEnvironment = option
      return output
    }
    return ''
  }
}

/** Empty headings omit the line of headings. */
function columns(names: readonly string[]): readonly string[] {
  return names.flatMap((name) => ['-o', `${name}=`])
}

/** Returns the output; null if ps failed, because no process matches or it lacks an option. */
function runPs(args: readonly string[]): string | null {
  // Start times and decimal points depend on the locale.
  const env = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C' }
  try {
    return execFileSync('ps', args, {
      env,
      encoding: 'latin1',
      stdio: ['ignore', 'pipe', 'ignore'],
      maxBuffer: MAX_BYTES,
    })
  } catch {
    return null
  }
}

/** Parses a line with COLUMNS; null for any other line. */
export function parseLine(line: string): ProcessInfo | null {
  const words = line.trim().split(/\s+/)
  const [pid, parent, group, stat, time, rss] = words
  if (pid === undefined || time === undefined || words.length <= BEFORE_PROGRAM) return null
  return {
    pid: Number(pid),
    parent: Number(parent),
    group: Number(group),
    status: stat?.charAt(0) ?? '',
    isInForeground: stat?.includes('+') === true,
    start: words.slice(BEFORE_START, BEFORE_PROGRAM).join(' '),
    cpuMs: parseCpuTime(time),
    memoryBytes: Number(rss) * 1024,
    program: words.slice(BEFORE_PROGRAM).join(' ').replace(/^.*\//, ''),
  }
}

/** Parses `1-02:03:04` of Linux and `123:04.56` of macOS to milliseconds. */
export function parseCpuTime(text: string): number {
  const [, days = '0', clock = ''] = /^(?:(\d+)-)?(.*)$/.exec(text) ?? []
  const seconds = clock.split(':').reduce((sum, part) => sum * 60 + Number(part), 0)
  return Math.round((Number(days) * 86_400 + seconds) * 1000)
}
