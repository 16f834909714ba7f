import type { Codec } from '../../src/domain/codec.ts'
import { readingsOf } from '../../src/domain/reading.ts'
import type { EnvelopeContext, Evaluation } from '../../src/codecs/evaluation.ts'
import { EvaluationPool } from '../../src/codecs/pool/evaluation-pool.ts'

/** Runs codecs as the platform does: in a worker thread, with its limits of time and memory. */
export class CodecRunner {
  readonly #pool: EvaluationPool

  private constructor(pool: EvaluationPool) {
    this.#pool = pool
  }

  /** Starts the worker threads. */
  static async start(): Promise<CodecRunner> {
    const workerUrl = new URL('./codec-worker.js', import.meta.url)
    // Without a quarantine, each sample of a codec that exceeds the limits shows the reason.
    const pool = new EvaluationPool({ workerUrl, limits: { failuresToQuarantine: Infinity } })
    await pool.start()
    return new CodecRunner(pool)
  }

  /** Runs a codec; a result that the platform could not store is a failure. */
  async run(codec: Codec, payload: Uint8Array, context: EnvelopeContext): Promise<Evaluation> {
    const result = await this.#pool.evaluate({ organizationId: '', codec, payload, context })
    if (result.ok) this.#pool.release(result.size)
    if ('deferred' in result) throw new Error('the evaluation was deferred, although it is the only one')
    if (!result.ok) return result
    const stored = readingsOf(result.data, context.receivedAt)
    return stored.ok ? result : stored
  }

  /** Ends the worker threads. */
  async close(): Promise<void> {
    await this.#pool[Symbol.asyncDispose]()
  }
}
