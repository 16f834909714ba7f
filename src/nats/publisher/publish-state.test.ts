import { describe, expect, test } from 'vitest'
import { onPublishEvent, type PublishEvent, type PublishPhase } from './publish-state.ts'

const EVENTS: readonly PublishEvent[] = ['stored', 'later', 'out_of_order', 'failed', 'delay_over', 'connected']
const PHASES: readonly PublishPhase[] = ['open', 'backingOff', 'probing', 'closed']

/** Returns the action and next phase for each of EVENTS. */
function row(phase: PublishPhase, isOldest: boolean): string[] {
  return EVENTS.map((event) => {
    const next = onPublishEvent(phase, event, isOldest)
    return next.action === 'none' ? '-' : `${next.action} ${next.phase}`
  })
}

describe('the phase of a publisher', () => {
  test('is determined by the events of the oldest message', () => {
    expect(row('open', true)).toEqual(['-', 'back_off backingOff', 'probe probing', '-', '-', 'resend open'])
    expect(row('backingOff', true)).toEqual(['resend open', '-', '-', 'probe probing', 'probe probing', 'resend open'])
    expect(row('probing', true)).toEqual([
      'resend open',
      'back_off backingOff',
      'back_off backingOff',
      'probe probing',
      '-',
      'resend open',
    ])
  })

  test('is not changed by events of later messages, except the phase open', () => {
    expect(row('open', false)).toEqual(['-', 'back_off backingOff', 'probe probing', '-', '-', '-'])
    expect([row('backingOff', false), row('probing', false)].flat().every((cell) => cell === '-')).toBe(true)
  })

  test('does not change after closed, or by an event without an action', () => {
    expect([row('closed', true), row('closed', false)].flat().every((cell) => cell === '-')).toBe(true)
    for (const phase of PHASES) expect(onPublishEvent(phase, 'stored', false)).toEqual({ action: 'none', phase })
  })
})
