import { once } from 'node:events'
import { PassThrough, Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { stripVTControlCharacters } from 'node:util'
import { describe, expect, it } from 'vitest'
import { createReporter, type ReporterOptions } from './reporter.ts'
import { Prefixes } from '../../supervisor/output/prefixes.ts'
import type { SupervisorEvent } from '../../supervisor/events.ts'

const started: SupervisorEvent = { type: 'process_started', process: 'store', pid: 42, attempt: 0, again: false }
const failed: SupervisorEvent = {
  type: 'process_failed',
  process: 'store',
  reason: 'broke',
  lastLines: ['one', '', 'two'],
}

function prefixesOf(...names: readonly string[]): Prefixes {
  const prefixes = new Prefixes()
  prefixes.setProcesses(names.map((name) => ({ name, leftOut: null })))
  return prefixes
}

async function report(options: Partial<ReporterOptions>, events: readonly SupervisorEvent[]): Promise<string> {
  const output = new PassThrough()
  const reporter = await createReporter({
    output,
    logFormat: 'text',
    colour: false,
    prefixes: prefixesOf('store'),
    ...options,
  })
  for (const event of events) reporter.event(event)
  reporter.flush()
  return await text(output.end())
}

describe('the reporter (O-32)', () => {
  it('writes plain lines under its prefix to a pipe', async () => {
    expect(await report({}, [started])).toBe('[orchestrator] store: started (pid 42)\n')
  })

  it('pads its prefix to the longest name', async () => {
    expect(await report({ prefixes: prefixesOf('a-very-long-process-name') }, [started])).toBe(
      `[orchestrator] ${' '.repeat(12)}store: started (pid 42)\n`,
    )
  })

  it('adds the prefix to every quoted line', async () => {
    expect((await report({}, [failed])).split('\n')).toEqual([
      '[orchestrator] store: failed permanently: broke; its last output:',
      '[orchestrator]   | one',
      '[orchestrator]   | ',
      '[orchestrator]   | two',
      '',
    ])
  })

  it('colours warnings and errors on a terminal without changing the text', async () => {
    const text = await report({ colour: true }, [started, failed])
    expect(text).toContain('\u001b[31mstore: failed permanently')
    expect(stripVTControlCharacters(text)).toBe(await report({}, [started, failed]))
  })

  it('writes JSON with the whole event', async () => {
    const lines = (await report({ logFormat: 'json' }, [started, failed])).trimEnd().split('\n')
    expect(lines.map((line): unknown => JSON.parse(line))).toEqual([
      {
        level: 30,
        time: expect.any(Number),
        process: 'orchestrator',
        pid: process.pid,
        stream: 'stderr',
        event: started,
        msg: 'store: started (pid 42)',
      },
      expect.objectContaining({ level: 50, event: failed }),
    ])
  })

  it('reports a completed task in one line', async () => {
    const exit = { code: 0, signal: null }
    const exited = { type: 'process_exited', process: 'store', exit, succeeded: true, uptimeMs: 124 } as const
    const completed: SupervisorEvent = { type: 'process_completed', process: 'store', exit, afterMs: 124 }
    expect(await report({}, [{ ...exited, completes: true }, completed])).toBe(
      '[orchestrator] store: completed after 124 ms\n',
    )
    expect(await report({}, [{ ...exited, completes: false }])).toBe(
      '[orchestrator] store: exited with code 0 after 124 ms\n',
    )
  })

  it('drops and counts messages while the output is not read (O-31)', async () => {
    const written: string[] = []
    let release: () => void = () => undefined
    const output = new Writable({
      decodeStrings: false,
      write(chunk, _encoding, done) {
        written.push(String(chunk))
        release = done
      },
      writev(chunks, done) {
        written.push(...chunks.map(({ chunk }) => String(chunk)))
        done()
      },
    })
    const reporter = await createReporter({ output, logFormat: 'text', colour: false, prefixes: prefixesOf() })
    for (let pid = 0; pid < 50_000; pid++) reporter.event({ ...started, pid })
    reporter.flush()
    expect(output.writableLength).toBeLessThan(1.2 * 1024 * 1024)
    const drained = once(output, 'drain')
    release()
    await drained
    const kept = written.join('').split('\n').length - 1
    reporter.event({ ...started, pid: 7 })
    reporter.flush()
    expect(written.at(-1)).toContain(`${50_000 - kept} messages of the orchestrator were dropped`)
  })

  it('writes the messages of one event loop turn with one write', async () => {
    const written: string[] = []
    const output = new Writable({
      write(chunk, _encoding, done) {
        written.push(String(chunk))
        done()
      },
    })
    const reporter = await createReporter({ output, logFormat: 'text', colour: false, prefixes: prefixesOf() })
    reporter.event(started)
    reporter.warn('second')
    await nextTurn()
    reporter.info('third')
    await nextTurn()
    expect(written).toEqual([
      '[orchestrator] store: started (pid 42)\n[orchestrator] second\n',
      '[orchestrator] third\n',
    ])
  })

  it('writes nothing once its output is closed', async () => {
    const output = new PassThrough()
    output.destroy()
    const reporter = await createReporter({ output, logFormat: 'text', colour: false, prefixes: prefixesOf() })
    expect(() => reporter.event(started)).not.toThrow()
  })
})
