import { statusAnswer } from '../../control/protocol.ts'
import { selectNames } from '../../control/names.ts'
import { sleep } from '../../supervisor/timers.ts'
import type { FileOptions } from '../options.ts'
import { describeState } from './action-report.ts'
import { ControlClient } from './control-client.ts'

const FIRST_MS = 1000
const EVERY_MS = 10_000

/**
 * Resolves with the answer. Until then, after a second and then every ten seconds, a terminal at stderr shows what the processes with
 * these names wait for; without names, all processes.
 */
export async function withProgress<T>(file: FileOptions, names: readonly string[], answer: Promise<T>): Promise<T> {
  if (!process.stderr.isTTY) return answer
  const over = new AbortController()
  void showProgress(file, names, over.signal)
  return answer.finally(() => over.abort())
}

async function showProgress(file: FileOptions, names: readonly string[], over: AbortSignal): Promise<void> {
  for (let delayMs = FIRST_MS; ; delayMs = EVERY_MS) {
    await sleep(delayMs, over)
    if (over.aborted) return
    // The answer, or its failure, says more than a failure to show the progress.
    const lines = await waitsOf(file, names, over).catch(() => [])
    if (!over.aborted) for (const line of lines) process.stderr.write(`${line}\n`)
  }
}

async function waitsOf(file: FileOptions, names: readonly string[], signal: AbortSignal): Promise<readonly string[]> {
  const { processes } = await new ControlClient(file).call('GET', '/status', statusAnswer, { signal })
  const all = processes.map(({ name }) => name)
  const awaited = new Set(names.length === 0 ? all : names.flatMap((name) => selectNames(name, all)))
  const waiting = processes.filter(({ name, ready, detail }) => awaited.has(name) && !ready && detail !== null)
  return waiting.map((status) => `${status.name}: ${describeState(status)}`)
}
