/**
 * How a publisher stands. `open`: messages go out as they come. `held`: nothing goes out until a time has passed or NATS is
 * back. `probing`: the oldest was sent alone, to see whether messages are stored again. `closed`: over.
 */
export type PublishPhase = 'open' | 'held' | 'probing' | 'closed'

/**
 * What changes that. `stored`: the message was acknowledged. `later`: it cannot be stored now. `out_of_turn`: the one that it
 * has to follow is not the stream's last. `given_up`: it will never be stored. `time_is_up`: the wait is over. `connected`:
 * NATS is back, and what was sent before may be lost.
 */
export type PublishEvent = 'stored' | 'later' | 'out_of_turn' | 'given_up' | 'time_is_up' | 'connected'

/** `wait`: nothing for a while. `probe`: the oldest again, alone. `resend`: all in flight again, in order, then what waits. */
export type PublishAction = 'none' | 'wait' | 'probe' | 'resend'

type Rules = Readonly<Partial<Record<PublishEvent, PublishAction>>>

/** An event of the oldest message in flight, or of none; then of a message behind it. What is not listed changes nothing. */
const OF_OLDEST: Readonly<Record<PublishPhase, Rules>> = {
  open: { later: 'wait', out_of_turn: 'probe', connected: 'resend' },
  held: { stored: 'resend', given_up: 'probe', time_is_up: 'probe', connected: 'resend' },
  // Alone it follows nothing: this answer is to an earlier sending, or not JetStream's.
  probing: { stored: 'resend', later: 'wait', out_of_turn: 'wait', given_up: 'probe', connected: 'resend' },
  closed: {},
}
const OF_ANOTHER: Readonly<Record<PublishPhase, Rules>> = {
  open: { later: 'wait', out_of_turn: 'probe' },
  held: {},
  probing: {},
  closed: {},
}

const PHASE_AFTER = { wait: 'held', probe: 'probing', resend: 'open' } as const satisfies Record<
  Exclude<PublishAction, 'none'>,
  PublishPhase
>

/** What to do at an event, and how the publisher stands after that. */
export function onPublishEvent(
  phase: PublishPhase,
  event: PublishEvent,
  isOldest: boolean,
): { readonly action: PublishAction; readonly phase: PublishPhase } {
  const action = (isOldest ? OF_OLDEST : OF_ANOTHER)[phase][event] ?? 'none'
  return { action, phase: action === 'none' ? phase : PHASE_AFTER[action] }
}
