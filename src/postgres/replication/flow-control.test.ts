import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AcknowledgementTracker, type Ticket, FlowControl, livenessOf } from './flow-control.ts'

describe('AcknowledgementTracker', () => {
  test('C-3: confirms a commit only when all its messages are stored', () => {
    const tracker = new AcknowledgementTracker()
    tracker.begin(0n)
    const [first, second] = [tracker.track(), tracker.track()]
    tracker.commit(100n)
    tracker.acknowledge(second)
    expect(tracker.safe).toBe(0n)
    tracker.acknowledge(first)
    expect(tracker.safe).toBe(100n)
  })

  test('C-3: confirms exactly the end of the commit, because one byte more would lose the adjacent transaction', () => {
    const tracker = new AcknowledgementTracker()
    tracker.begin(0n)
    tracker.acknowledge(tracker.track())
    tracker.commit(100n)
    expect(tracker.safe).toBe(100n)
  })

  test('C-3: does not confirm a stored transaction before the ones before it', () => {
    const tracker = new AcknowledgementTracker()
    tracker.begin(0n)
    const held = tracker.track()
    tracker.commit(100n)
    tracker.begin(0n)
    tracker.acknowledge(tracker.track())
    tracker.commit(200n)
    expect(tracker.safe).toBe(0n)
    tracker.acknowledge(held)
    expect(tracker.safe).toBe(200n)
  })

  test('C-3: confirms messages that are stored before their commit only with the commit', () => {
    const tracker = new AcknowledgementTracker(50n)
    tracker.begin(0n)
    tracker.acknowledge(tracker.track())
    expect(tracker.safe).toBe(50n)
    tracker.commit(100n)
    expect(tracker.safe).toBe(100n)
  })

  test('C-9: confirms a keepalive when nothing is pending', () => {
    const tracker = new AcknowledgementTracker(50n)
    tracker.keepalive(400n)
    expect(tracker.safe).toBe(400n)
  })

  test('C-9: confirms a keepalive after a pending transaction once that is stored', () => {
    const tracker = new AcknowledgementTracker()
    tracker.begin(0n)
    const held = tracker.track()
    tracker.commit(100n)
    tracker.keepalive(400n)
    expect(tracker.safe).toBe(0n)
    tracker.acknowledge(held)
    expect(tracker.safe).toBe(400n)
  })

  test('C-9: ignores a keepalive inside an open transaction, even when all its messages are stored', () => {
    const tracker = new AcknowledgementTracker()
    tracker.begin(0n)
    tracker.acknowledge(tracker.track())
    tracker.keepalive(90n)
    expect(tracker.safe).toBe(0n)
  })

  test('the confirmed position never decreases', () => {
    const tracker = new AcknowledgementTracker(500n)
    tracker.keepalive(400n)
    tracker.begin(0n)
    tracker.commit(450n)
    expect(tracker.safe).toBe(500n)
  })

  test('throws on an invalid sequence of calls', () => {
    const tracker = new AcknowledgementTracker()
    expect(() => tracker.track()).toThrow(/no transaction is open/)
    expect(() => tracker.commit(1n)).toThrow(/no transaction is open/)
    tracker.begin(0n)
    expect(() => tracker.begin(0n)).toThrow(/inside another/)
    const ticket = tracker.track()
    tracker.acknowledge(ticket)
    expect(() => tracker.acknowledge(ticket)).toThrow(/twice/)
  })

  test('C-3: agrees with a model that scans every message, in any order of events', () => {
    fc.assert(fc.property(fc.array(steps, { maxLength: 200 }), runAgainstModel), { numRuns: 2000 })
  })
})

type Step =
  | { readonly kind: 'begin' | 'commit' | 'change' | 'keepalive' }
  | { readonly kind: 'acknowledge'; readonly which: number }

const steps: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constantFrom('begin' as const, 'commit', 'change', 'change', 'keepalive') }),
  fc.record({ kind: fc.constant('acknowledge' as const), which: fc.nat() }),
)

interface ModelSegment {
  end: bigint | undefined
  readonly messages: { stored: boolean }[]
}

/** Returns the end of the newest segment up to which every message is stored, which is the definition. */
function modelSafe(log: readonly ModelSegment[]): bigint {
  let safe = 0n
  for (const { end, messages } of log) {
    if (end === undefined || messages.some(({ stored }) => !stored)) break
    safe = end
  }
  return safe
}

function runAgainstModel(script: readonly Step[]): void {
  const tracker = new AcknowledgementTracker()
  const log: ModelSegment[] = []
  const unstored: { ticket: Ticket; message: { stored: boolean } }[] = []
  let position = 0n
  let open: ModelSegment | undefined
  for (const step of script) {
    position += 10n
    if (step.kind === 'begin' && open === undefined) {
      open = { end: undefined, messages: [] }
      log.push(open)
      tracker.begin(0n)
    } else if (step.kind === 'change' && open !== undefined) {
      const message = { stored: false }
      open.messages.push(message)
      unstored.push({ ticket: tracker.track(), message })
    } else if (step.kind === 'commit' && open !== undefined) {
      open.end = position
      open = undefined
      tracker.commit(position)
    } else if (step.kind === 'keepalive') {
      if (open === undefined) log.push({ end: position, messages: [] })
      tracker.keepalive(position)
    } else if (step.kind === 'acknowledge' && unstored.length > 0) {
      const [chosen] = unstored.splice(step.which % unstored.length, 1)
      if (chosen !== undefined) {
        chosen.message.stored = true
        tracker.acknowledge(chosen.ticket)
      }
    }
    expect(tracker.safe).toBe(modelSafe(log))
  }
}

describe('FlowControl', () => {
  test('C-8: pauses at the limit of messages and resumes at half of it', () => {
    const flow = new FlowControl({ items: 4, bytes: 1000 })
    expect([flow.add(1), flow.add(1), flow.add(1)]).toEqual([false, false, false])
    expect(flow.add(1)).toBe(true)
    expect(flow.paused).toBe(true)
    expect(flow.remove(1)).toBe(false)
    expect(flow.remove(1)).toBe(true)
    expect(flow.paused).toBe(false)
  })

  test('C-8: pauses at the limit of bytes, with few messages too', () => {
    const flow = new FlowControl({ items: 100, bytes: 1000 })
    expect(flow.add(600)).toBe(false)
    expect(flow.add(600)).toBe(true)
    expect(flow.remove(600)).toBe(false)
    expect(flow.remove(600)).toBe(true)
  })

  test('C-8: accepts one message larger than the limit', () => {
    const flow = new FlowControl({ items: 100, bytes: 1000 })
    expect(flow.add(5000)).toBe(true)
    expect(flow.remove(5000)).toBe(true)
  })

  test('requests a pause once, not for each message that was already read', () => {
    const flow = new FlowControl({ items: 1, bytes: 1000 })
    expect([flow.add(1), flow.add(1), flow.add(1)]).toEqual([true, false, false])
    expect(flow.messages).toBe(3)
  })
})

describe('livenessOf', () => {
  test('C-10: returns "probe" for a silent server and "silent" after the limit', () => {
    expect(livenessOf(0, 60_000, false)).toBe('alive')
    expect(livenessOf(20_000, 60_000, false)).toBe('probe')
    expect(livenessOf(60_000, 60_000, false)).toBe('silent')
  })

  test('B-8: returns "alive" without a limit', () => {
    expect(livenessOf(600_000, 0, false)).toBe('alive')
  })

  test('C-8: returns "alive" while reading is paused', () => {
    expect(livenessOf(600_000, 60_000, true)).toBe('alive')
  })
})
