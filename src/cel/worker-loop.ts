import { parentPort, workerData } from 'node:worker_threads'
import { Evaluator } from './evaluator.ts'
import type { Evaluation } from './evaluator.ts'
import { currentThread, standBack, Stopwatch } from './thread-time.ts'
import { Progress } from './worker-protocol.ts'
import type { JobMessage, WorkerMessage, WorkerSetup } from './worker-protocol.ts'

/** Results of more bytes than this are sent before the next evaluation starts. */
const PART_BYTES = 1024 * 1024

/** The whole life of a worker thread: says that it is ready, then evaluates the jobs it is sent, one after the other. */
export function serveEvaluations(): void {
  const setup: WorkerSetup = workerData
  standBack(setup.niceness)
  const progress = new Progress(setup.progress)
  const evaluator = new Evaluator()
  progress.idle()
  parentPort?.on('message', (job: JobMessage) => {
    runJob(job, evaluator, progress, setup.slowMs)
    progress.idle()
  })
  send({ kind: 'ready', thread: currentThread() })
}

function runJob(job: JobMessage, evaluator: Evaluator, progress: Progress, slowMs: number): void {
  let evaluations: Evaluation[] = []
  let size = 0
  const slow = new Map<number, number>()
  const stopwatch = new Stopwatch()
  for (const [index, end] of job.ends.entries()) {
    progress.start(index, stopwatch.start())
    const source = job.sources[job.sourceOf[index] ?? -1] ?? ''
    const evaluation = evaluator.evaluate(source, job.payloads.subarray(job.ends[index - 1] ?? 0, end))
    evaluations.push(evaluation)
    const tookMs = stopwatch.read(slowMs)
    if (tookMs > slowMs) {
      slow.set(index, tookMs)
      break
    }
    size += evaluation.ok ? evaluation.size : 0
    if (size > PART_BYTES) {
      send({ kind: 'part', evaluations })
      evaluations = []
      size = 0
    }
  }
  send({ kind: 'done', evaluations, slow })
}

function send(message: WorkerMessage): void {
  parentPort?.postMessage(message, [])
}
