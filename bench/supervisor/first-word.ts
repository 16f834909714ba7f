import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { besideOf, type Figure, median } from '../report/figures.ts'
import type { Field } from './field.ts'

const ROUNDS = 15
const AT_MOST = 1.5

/** M-6: from the call to the first line of `--help`, beside a Node that does nothing at all. */
export async function measureFirstWord(field: Field): Promise<readonly Figure[]> {
  const program = join(field.packageFolder, 'bin/ponix-orchestrator.js')
  const [help, nothing]: [number[], number[]] = [[], []]
  for (let round = 0; round < ROUNDS; round++) {
    help.push(await untilFirstWord([program, '--help']))
    nothing.push(await untilFirstWord(['-e', '0']))
  }
  return [
    {
      id: 'M-6',
      what: 'first line of --help',
      unit: 'ms',
      ours: median(help),
      beside: besideOf('node -e 0', help, nothing),
      goal: { type: 'ratio', atMost: AT_MOST },
      peers: new Map(),
    },
  ]
}

/** Or until its end, if it says nothing. */
async function untilFirstWord(args: readonly string[]): Promise<number> {
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
