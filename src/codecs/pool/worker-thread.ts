import { parentPort, workerData } from 'node:worker_threads'
import type { Codec } from '../../domain/codecs/codec.ts'
import { Decoder } from '../decoder.ts'
import type { Evaluation } from '../evaluation.ts'
import { currentThread, lowerThreadPriority, Progress, Stopwatch } from './worker-protocol.ts'
import type { JobMessage, WorkerMessage, WorkerSetup } from './worker-protocol.ts'

/** A job ends with the result that exceeds this limit in total. */
const MAX_RESULT_BYTES = 1024 * 1024

const NO_CODEC: Codec = { kind: 'cel', source: '' }

/** Runs a worker thread: reports readiness, then evaluates jobs one at a time. */
export function serveEvaluations(): void {
  const setup: WorkerSetup = workerData
  lowerThreadPriority(setup.niceness)
  const progress = new Progress(setup.progress)
  const decoder = new Decoder()
  progress.idle()
  parentPort?.on('message', (job: JobMessage) => {
    runJob(job, decoder, progress, setup.slowMs)
    progress.idle()
  })
  send({ kind: 'ready', thread: currentThread() })
}

function runJob(job: JobMessage, decoder: Decoder, progress: Progress, slowMs: number): void {
  const evaluations: Evaluation[] = []
  const durations: number[] = []
  let bytes = 0
  let totalMs = 0
  const stopwatch = new Stopwatch()
  for (const [index, end] of job.ends.entries()) {
    progress.start(index, stopwatch.start())
    const codec = job.codecs[job.codecOf[index] ?? -1] ?? NO_CODEC
    const payload = job.payloads.subarray(job.ends[index - 1] ?? 0, end)
    const evaluation = job.checks.includes(index)
      ? decoder.check(codec)
      : decoder.decode(codec, payload, job.contexts?.[index])
    const tookMs = stopwatch.read(slowMs)
    evaluations.push(evaluation)
    durations.push(tookMs)
    totalMs += tookMs
    bytes += evaluation.ok ? evaluation.size : 0
    if (totalMs > slowMs || bytes > MAX_RESULT_BYTES) break
  }
  send({ kind: 'done', evaluations, durations })
}

function send(message: WorkerMessage): void {
  parentPort?.postMessage(message, [])
}
