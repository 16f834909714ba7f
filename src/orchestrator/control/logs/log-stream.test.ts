import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { LogHistory } from '../../supervisor/output/log-history.ts'
import { LogAnswer } from './log-stream.ts'

/** A search that waits until the test releases it. */
class HeldSearch implements Disposable {
  isClosed = false
  readonly #held: HeldPromise[] = []

  select<T>(items: readonly T[]): Promise<readonly T[]> {
    return new Promise((resolve, reject) => this.#held.push({ resolve: () => resolve(items), reject }))
  }

  /** Resolves when the next search has begun and was released. */
  async release(): Promise<void> {
    const next = await vi.waitUntil(() => this.#held.shift())
    next.resolve()
  }

  async fail(reason: string): Promise<void> {
    const next = await vi.waitUntil(() => this.#held.shift())
    next.reject(new Error(reason))
  }

  [Symbol.dispose](): void {
    this.isClosed = true
  }
}

interface HeldPromise {
  readonly resolve: () => void
  readonly reject: (reason: Error) => void
}

/** Opens an exchange over HTTP: the response of the server, and the records that its client receives. */
async function exchange() {
  const server = createServer()
  onTestFinished(() => void server.close())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const received = new Promise<IncomingMessage>((resolve) => get({ port, host: '127.0.0.1' }, resolve))
  const response = await new Promise<ServerResponse>((resolve) =>
    server.once('request', (_, answer) => resolve(answer)),
  )
  const records = async () => {
    const lines: unknown[] = []
    for await (const line of createInterface({ input: await received })) lines.push(JSON.parse(line))
    return lines
  }
  return { response, records }
}

const all = () => true

describe('LogAnswer with a regular expression (O-45)', () => {
  it('writes the results in the order of the entries, also those that arrive during a search', async () => {
    const { response, records } = await exchange()
    const search = new HeldSearch()
    const history = new LogHistory()
    history.push('a', 1, 'stdout', 'one')
    const answer = new LogAnswer(response, search)
    answer.search(history.read(['a'], false), (found) => found)
    answer.follow(history, all, Infinity)
    history.push('a', 1, 'stdout', 'two\nthree')
    await search.release()
    await search.release()
    answer.end()
    expect((await records()).map((record) => Reflect.get(Object(record), 'line'))).toEqual(['one', 'two', 'three'])
    expect(search.isClosed).toBe(true)
  })

  it('drops and counts entries beyond 10,000 that wait for a slow search', async () => {
    const { response, records } = await exchange()
    const search = new HeldSearch()
    const history = new LogHistory()
    const answer = new LogAnswer(response, search)
    answer.follow(history, all, Infinity)
    for (let block = 0; block < 12; block++) history.push('a', 1, 'stdout', Array(1000).fill('x').join('\n'))
    for (let block = 0; block < 10; block++) await search.release()
    answer.end()
    const received = await records()
    expect([received.length, received.at(-1)]).toEqual([10_001, { dropped: 2000 }])
  })

  it('ends with the reason when a search fails, and writes nothing afterwards', async () => {
    const { response, records } = await exchange()
    const search = new HeldSearch()
    const history = new LogHistory()
    const answer = new LogAnswer(response, search)
    answer.follow(history, all, Infinity)
    history.push('a', 1, 'stdout', 'one')
    history.push('a', 1, 'stdout', 'two')
    await search.fail('it took too long')
    await search.release()
    history.push('a', 1, 'stdout', 'three')
    expect(await records()).toEqual([{ error: 'it took too long' }])
  })

  it('ends its search and its subscription when the reader closes', async () => {
    const { response } = await exchange()
    const search = new HeldSearch()
    const answer = new LogAnswer(response, search)
    answer.follow(new LogHistory(), all, Infinity)
    response.destroy()
    await expect.poll(() => search.isClosed).toBe(true)
  })
})
