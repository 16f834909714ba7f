import { JetStreamApiError, type StreamConfig, type StreamInfo } from '@nats-io/jetstream'
import { connectWithBackoff, withSignal } from '../runner/startup.ts'
import type { NatsClient } from './connection.ts'
import { deleteMessage } from './stored-messages.ts'
import { infoOf, isMessageNotFound, isStreamNotFound, NANOS_PER_MS, undefinedIf } from './streams.ts'

interface LeaseBucketOptions {
  /** Letters, digits, `_` and `-`. */
  readonly name: string
  /** Time after the last write of a key at which the server drops it. */
  readonly ttlMs: number
  /** What all users of the bucket must agree on. */
  readonly agreement: Readonly<Record<string, string>>
}

/** Errors of an expected sequence: in general, and without the found sequence. */
const WRONG_SEQUENCE: readonly number[] = [10_071, 10_164]

/**
 * Keys that expire unless they are written again, with compare-and-set: a NATS KV bucket (ADR-8: the stream `KV_{bucket}` with the
 * subjects `$KV.{bucket}.{key}`). JetStream cannot update a key that has a TTL of its own, so the TTL is that of the bucket. Reads are
 * answered by the leader of the stream (`allow_direct` is off), because a replica can return an old value. A request that is not
 * answered in a quarter of the TTL rejects; whether it was executed is then unknown.
 */
export class LeaseBucket {
  readonly #client: NatsClient
  readonly #options: LeaseBucketOptions
  readonly #stream: string
  /** The creation time of the bucket when it was opened, or seen again. */
  #created: string | undefined
  #usableAtMs = -Infinity

  constructor(client: NatsClient, options: LeaseBucketOptions) {
    this.#client = client
    this.#options = options
    this.#stream = `KV_${options.name}`
  }

  get name(): string {
    return this.#options.name
  }

  get ttlMs(): number {
    return this.#options.ttlMs
  }

  /** Creates the bucket. Waits until JetStream answers, and while others use a bucket with another TTL or agreement. */
  async open(): Promise<void> {
    const { created } = await connectWithBackoff(this.#client.startup, () => this.#ensure())
    this.#created = created
  }

  /**
   * Returns the existing keys. Rejects if the bucket has another TTL or agreement. A bucket that was deleted is created again; all
   * reads then reject for one TTL, because instances may still hold leases of the old one.
   */
  async keys(): Promise<readonly string[]> {
    const prefix = this.#subject('')
    const query = { subjects_filter: `${prefix}>` }
    const read = () => undefinedIf(isStreamNotFound, this.#client.manager.streams.info(this.#stream, query))
    const info = (await this.#request(read)) ?? (await this.#request(() => this.#ensure()))
    this.#check(info.config)
    if (info.created !== this.#created) this.#usableAtMs = performance.now() + this.#options.ttlMs
    this.#created = info.created
    if (performance.now() < this.#usableAtMs) throw new Error(`the bucket ${this.#options.name} was deleted`)
    return Object.keys(info.state.subjects ?? {}).map((subject) => subject.slice(prefix.length))
  }

  /** Returns the value of a key and its revision; undefined if it does not exist. */
  async get(key: string): Promise<{ readonly value: string; readonly revision: number } | undefined> {
    const query = { last_by_subj: this.#subject(key) }
    const request = () => undefinedIf(isMessageNotFound, this.#client.manager.streams.getMessage(this.#stream, query))
    const message = await this.#request(request)
    return message ? { value: message.string(), revision: message.seq } : undefined
  }

  /** Writes a key; returns its revision. */
  async put(key: string, value: string): Promise<number> {
    return (await this.#request(() => this.#client.jetstream.publish(this.#subject(key), value))).seq
  }

  /**
   * Writes a key if its revision is still this one (0: if it does not exist); returns the new revision, or undefined if it is another
   * one.
   */
  async compareAndSet(key: string, value: string, revision: number): Promise<number | undefined> {
    const expect = { lastSubjectSequence: revision }
    const write = () => this.#client.jetstream.publish(this.#subject(key), value, { expect })
    return (await undefinedIf(isWrongSequence, this.#request(write)))?.seq
  }

  /** Deletes the key with this revision; has no effect if the key has another revision. */
  async delete(revision: number): Promise<void> {
    await this.#request(() => deleteMessage(this.#client, this.#stream, revision))
  }

  #subject(key: string): string {
    return `$KV.${this.#options.name}.${key}`
  }

  async #request<T>(send: () => Promise<T>): Promise<T> {
    // While it is disconnected, the client would send the request later.
    if (!this.#client.link.connected) throw new Error('not connected to NATS')
    const timeoutMs = Math.ceil(this.#options.ttlMs / 4)
    const timeout = new AbortController()
    const abort = (): void => timeout.abort(new Error(`no answer from JetStream within ${timeoutMs} ms`))
    // Node reads sockets before it calls setImmediate's callback: after a blocked event loop the answer may have arrived.
    const timer = setTimeout(() => setImmediate(abort), timeoutMs)
    try {
      return await withSignal(timeout.signal, send())
    } finally {
      clearTimeout(timer)
    }
  }

  async #ensure(): Promise<StreamInfo> {
    const { streams } = this.#client.manager
    const existing = await infoOf(this.#client, this.#stream)
    if (existing === undefined) return await streams.add({ name: this.#stream, ...this.#config() })
    if (existing.state.messages === 0) return await streams.update(this.#stream, this.#config())
    this.#check(existing.config)
    return existing
  }

  #config(): Partial<StreamConfig> {
    const maxAge = Math.round(this.#options.ttlMs * NANOS_PER_MS)
    return {
      subjects: [this.#subject('>')],
      storage: 'file',
      max_age: maxAge,
      duplicate_window: maxAge,
      max_msgs_per_subject: 1,
      discard: 'new',
      allow_direct: false,
      metadata: { ...this.#options.agreement },
    }
  }

  #check(found: { readonly max_age: number; readonly metadata?: Readonly<Record<string, string>> }): void {
    const { ttlMs, name, agreement } = this.#options
    const differing = Object.entries(agreement).filter(([key, value]) => found.metadata?.[key] !== value)
    const all = differing.map(([key, value]) => [key, found.metadata?.[key] ?? 'none', value])
    const foundMs = Math.round(found.max_age / NANOS_PER_MS)
    if (foundMs !== Math.round(ttlMs)) all.push(['the TTL in ms', String(foundMs), String(Math.round(ttlMs))])
    if (all.length === 0) return
    const text = all.map(([key, other, own]) => `${key} ${other} (expected ${own})`).join(', ')
    throw new Error(`other instances use the bucket ${name} with ${text}; give all instances the same values`)
  }
}

function isWrongSequence(error: unknown): boolean {
  return error instanceof JetStreamApiError && WRONG_SEQUENCE.includes(error.code)
}
