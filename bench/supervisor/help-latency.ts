import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { compare, type Figure, median } from '../report/figures.ts'
import type { Comparison } from './comparison.ts'

const ROUNDS = 15
const AT_MOST = 1.5

/** Measures M-6: the time from the call to the first line of `--help`, compared with a Node process that does nothing. */
export async function measureHelpLatency(comparison: Comparison): Promise<readonly Figure[]> {
  const program = join(comparison.packageFolder, 'bin/ponix-orchestrator.js')
  const [help, nothing]: [number[], number[]] = [[], []]
  for (let round = 0; round < ROUNDS; round++) {
    help.push(await timeToFirstOutput([program, '--help']))
    nothing.push(await timeToFirstOutput(['-e', '0']))
  }
  return [
    {
      id: 'M-6',
      what: 'first line of --help',
      unit: 'ms',
      ours: median(help),
      beside: compare('node -e 0', help, nothing),
      goal: { type: 'ratio', atMost: AT_MOST },
    },
  ]
}

/** Measures the time until the first output, or until the exit if there is none. */
async function timeToFirstOutput(args: readonly string[]): Promise<number> {
  const since = performance.now()
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const ms = await new Promise<number>((resolve) => {
    child.stdout.once('data', () => resolve(performance.now() - since))
    child.once('exit', () => resolve(performance.now() - since))
  })
  child.stdout.resume()
  await ended
  return ms
}
