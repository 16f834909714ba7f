import { once } from 'node:events'
import { Writable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { CapturedOutput } from '../../../../test/rig/supervised-graph.ts'
import { LostReader } from '../../../../test/rig/readers.ts'
import { Sink } from './sink.ts'

const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)))

/** Takes a piece when the test says so. */
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

describe('the orchestrator’s own output stream (O-31)', () => {
  test('lines of one turn go out in one write', async () => {
    const output = new HeldReader()
    const sink = new Sink(output, () => {})
    for (let n = 0; n < 1000; n++) sink.append('[a] ', String(n))
    await turn()
    expect(output.pieces).toBe(1)
  })

  test('a line larger than its buffer goes out whole', async () => {
    const output = new CapturedOutput()
    const sink = new Sink(output, () => {})
    sink.append('[a] ', 'before')
    sink.append('[a] ', 'x'.repeat(600_000))
    sink.append('[a] ', 'after')
    await turn()
    expect(output.lines).toEqual(['[a] before', `[a] ${'x'.repeat(600_000)}`, '[a] after'])
  })

  test('it is full at 1 MiB that nobody took, and tells once when there is room again', async () => {
    const output = new HeldReader()
    const sink = new Sink(output, () => {})
    while (!sink.isFull) sink.append('', 'x'.repeat(1000))
    let told = 0
    sink.whenRoom(() => (told += 1))
    await turn()
    expect([told, sink.isIdle]).toEqual([0, false])
    while (!sink.isIdle) {
      output.take()
      await turn()
    }
    expect([told, sink.isFull]).toEqual([1, false])
    expect(sink.written).toBeGreaterThan(1024 * 1024)
  })

  test('a stream that breaks is told once; whoever waits goes on, and what comes then is dropped', async () => {
    const reasons: string[] = []
    const sink = new Sink(new LostReader(), (reason) => reasons.push(reason))
    while (!sink.isFull) sink.append('', 'x'.repeat(1000))
    const room = new Promise<void>((resolve) => sink.whenRoom(resolve))
    await room
    sink.append('', 'more')
    await turn()
    expect(reasons).toEqual(['write EPIPE'])
    expect([sink.isFull, sink.isIdle]).toEqual([false, true])
  })

  test('after its own close nothing is told, and the stream may be used by others', async () => {
    const reasons: string[] = []
    const output = new CapturedOutput()
    const sink = new Sink(output, (reason) => reasons.push(reason))
    sink.close()
    output.end('by others\n')
    await once(output, 'finish')
    expect([reasons, output.text]).toEqual([[], 'by others\n'])
  })
})
