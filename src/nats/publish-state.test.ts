import { describe, expect, test } from 'vitest'
import { onPublishEvent, type PublishEvent, type PublishPhase } from './publish-state.ts'

const EVENTS: readonly PublishEvent[] = ['stored', 'later', 'out_of_turn', 'given_up', 'time_is_up', 'connected']
const PHASES: readonly PublishPhase[] = ['open', 'held', 'probing', 'closed']

/** What happens in a phase at each of EVENTS. */
function row(phase: PublishPhase, isOldest: boolean): string[] {
  return EVENTS.map((event) => {
    const next = onPublishEvent(phase, event, isOldest)
    return next.action === 'none' ? '-' : `${next.action} ${next.phase}`
  })
}

describe('how a publisher stands', () => {
  test('what happens to the oldest message decides', () => {
    expect(row('open', true)).toEqual(['-', 'wait held', 'probe probing', '-', '-', 'resend open'])
    expect(row('held', true)).toEqual(['resend open', '-', '-', 'probe probing', 'probe probing', 'resend open'])
    expect(row('probing', true)).toEqual(['resend open', 'wait held', 'wait held', 'probe probing', '-', 'resend open'])
  })

  test('those behind it only stop what goes out as it comes', () => {
    expect(row('open', false)).toEqual(['-', 'wait held', 'probe probing', '-', '-', '-'])
    expect([row('held', false), row('probing', false)].flat().every((cell) => cell === '-')).toBe(true)
  })

  test('when it is closed nothing happens any more, and what changes nothing keeps the phase', () => {
    expect([row('closed', true), row('closed', false)].flat().every((cell) => cell === '-')).toBe(true)
    for (const phase of PHASES) expect(onPublishEvent(phase, 'stored', false)).toEqual({ action: 'none', phase })
  })
})
