import type { Codec } from '../../domain/codecs/codec.ts'
import { DomainError } from '../../domain/errors.ts'
import type { CodecInput, CodecOutcome, CodecRunner } from '../../domain/ports.ts'
import { readingsOf } from '../../domain/codecs/reading.ts'
import { EvaluationPool, type EvaluationPoolOptions } from './evaluation-pool.ts'
import type { Task } from './evaluation-scheduler.ts'

const NO_PAYLOAD = new Uint8Array()

/** Runs codecs one by one in an evaluation pool, whose workers start with the first codec. */
export class PoolCodecRunner implements CodecRunner {
  readonly #options: EvaluationPoolOptions
  #pool: Promise<EvaluationPool> | undefined
  #closed = false

  constructor(options: EvaluationPoolOptions) {
    this.#options = options
  }

  async check(organizationId: string, codec: Codec): Promise<CodecOutcome> {
    return await this.#evaluate({ organizationId, codec, payload: NO_PAYLOAD, checkOnly: true })
  }

  async run(organizationId: string, codec: Codec, payload: Uint8Array, context: CodecInput): Promise<CodecOutcome> {
    let tookMs: number | undefined
    const outcome = await this.#evaluate({ organizationId, codec, payload, context }, (ms) => {
      tookMs = ms
    })
    if (!outcome.ok) return { ...outcome, tookMs }
    const stored = readingsOf(outcome.data, context.receivedAt)
    return { ...(stored.ok ? outcome : stored), tookMs }
  }

  /** Stops the workers; running calls are rejected. */
  async close(): Promise<void> {
    this.#closed = true
    const pool = await this.#pool?.catch(() => undefined)
    await pool?.[Symbol.asyncDispose]()
  }

  async #evaluate(task: Task, onRun?: (ms: number) => void): Promise<CodecOutcome> {
    if (this.#closed) throw new Error('the codec runner is closed')
    this.#pool ??= this.#start()
    const pool = await this.#pool
    const result = await pool.evaluate(task, onRun)
    if (result.ok) pool.release(result.size)
    if (!('deferred' in result)) return result
    throw new DomainError('unavailable', 'Too many payloads of the organization wait for their codecs; try again')
  }

  /** A failed start is retried with the next codec. */
  async #start(): Promise<EvaluationPool> {
    const pool = new EvaluationPool(this.#options)
    try {
      await pool.start()
    } catch (error) {
      this.#pool = undefined
      throw error
    }
    return pool
  }
}
