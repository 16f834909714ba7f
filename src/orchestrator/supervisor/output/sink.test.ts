import { once } from 'node:events'
import { Writable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { CapturedOutput } from '../../../../test/rig/orchestrator/supervised-graph.ts'
import { LostReader } from '../../../../test/rig/orchestrator/readers.ts'
import { Sink } from './sink.ts'

const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)))

/** A stream that completes a write when the test calls `take`. */
class HeldReader extends Writable {
  #release: (() => void) | null = null
  pieces = 0

  override _write(_chunk: Buffer, _encoding: string, callback: () => void): void {
    this.pieces += 1
    this.#release = callback
  }

  take(): void {
    this.#release?.()
  }
}

describe('Sink (O-31)', () => {
  test('writes the lines of one event loop turn with one write', async () => {
    const output = new HeldReader()
    const sink = new Sink(output, () => {})
    for (let n = 0; n < 1000; n++) sink.append('[a] ', String(n))
    await turn()
    expect(output.pieces).toBe(1)
  })

  test('has the preceding lines of others written before its own', async () => {
    const output = new CapturedOutput()
    const sink = new Sink(output, () => {}, { beforeWrite: () => output.write('before\n') })
    sink.append('[a] ', 'line')
    await turn()
    expect(output.lines).toEqual(['before', '[a] line'])
  })

  test('writes a line larger than its buffer whole', async () => {
    const output = new CapturedOutput()
    const sink = new Sink(output, () => {})
    sink.append('[a] ', 'before')
    sink.append('[a] ', 'x'.repeat(600_000))
    sink.append('[a] ', 'after')
    await turn()
    expect(output.lines).toEqual(['[a] before', `[a] ${'x'.repeat(600_000)}`, '[a] after'])
  })

  test('is full at 1 MiB of unwritten lines, and reports once that it is drained', async () => {
    const output = new HeldReader()
    const sink = new Sink(output, () => {})
    while (!sink.isFull) sink.append('', 'x'.repeat(1000))
    let drained = 0
    sink.onceDrained(() => (drained += 1))
    await turn()
    expect([drained, sink.isIdle]).toEqual([0, false])
    while (!sink.isIdle) {
      output.take()
      await turn()
    }
    expect([drained, sink.isFull]).toEqual([1, false])
    expect(sink.written).toBeGreaterThan(1024 * 1024)
  })

  test('reports a broken stream once, resumes waiting writers, and drops further lines', async () => {
    const reasons: string[] = []
    const sink = new Sink(new LostReader(), (reason) => reasons.push(reason))
    while (!sink.isFull) sink.append('', 'x'.repeat(1000))
    const resumed = new Promise<void>((resolve) => sink.onceDrained(resolve))
    await resumed
    sink.append('', 'more')
    await turn()
    expect(reasons).toEqual(['write EPIPE'])
    expect([sink.isFull, sink.isIdle]).toEqual([false, true])
  })

  test('reports nothing after close and leaves the stream usable', async () => {
    const reasons: string[] = []
    const output = new CapturedOutput()
    const sink = new Sink(output, (reason) => reasons.push(reason))
    sink.close()
    output.end('by others\n')
    await once(output, 'finish')
    expect([reasons, output.text]).toEqual([[], 'by others\n'])
  })
})
