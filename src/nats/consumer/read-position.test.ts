import { describe, expect, test } from 'vitest'
import { ReadPosition } from './read-position.ts'

type Step =
  | readonly ['receive', streamSequence: number, consumerSequence: number, attempt?: number]
  | readonly ['observe', firstInStream: number, deliveredStreamSequence: number]
  | readonly ['start', floor: number, firstInStream: number, streamSequence: number, consumerSequence: number]

function run(steps: readonly Step[], firstInStream = Infinity) {
  const position = new ReadPosition()
  for (const step of steps) {
    if (step[0] === 'observe') position.observe(step[1], step[2])
    else if (step[0] === 'receive') {
      const [, streamSequence, consumerSequence, attempt = 1] = step
      position.received({ streamSequence, consumerSequence, attempt })
    } else {
      const [, floor, first, streamSequence, consumerSequence] = step
      position.start(floor, first, { streamSequence, consumerSequence })
    }
  }
  return position.takeDropped(firstInStream)
}

const FRESH: Step = ['start', 0, 1, 0, 0]

describe('B-15 the read position', () => {
  test.each<readonly [string, readonly Step[], ReturnType<typeof run>]>([
    ['finds nothing in consecutive deliveries', [FRESH, ['receive', 1, 1], ['receive', 2, 2]], undefined],
    [
      'counts a gap between two deliveries',
      [FRESH, ['receive', 1, 1], ['receive', 5, 2]],
      { first: 2, last: 4, count: 3 },
    ],
    [
      'counts the gap before the first delivery',
      [
        ['start', 10, 11, 10, 10],
        ['receive', 15, 11],
      ],
      { first: 11, last: 14, count: 4 },
    ],
    ['does not count deliveries to another instance', [FRESH, ['receive', 1, 1], ['receive', 5, 5]], undefined],
    [
      'counts what is missing besides the deliveries to another instance',
      [FRESH, ['receive', 1, 1], ['receive', 9, 5]],
      { first: 2, last: 8, count: 4 },
    ],
    [
      'ignores redeliveries of its own messages',
      [FRESH, ['receive', 1, 1], ['receive', 1, 2, 2], ['receive', 2, 3], ['receive', 4, 4]],
      { first: 3, last: 3, count: 1 },
    ],
    [
      'ignores the redelivery of a message of another instance',
      [FRESH, ['receive', 1, 1], ['receive', 50, 101, 2], ['receive', 101, 102]],
      undefined,
    ],
    [
      'ignores deliveries that repeat because the server lost its progress',
      [FRESH, ['receive', 1, 1], ['receive', 2, 2], ['receive', 1, 1], ['receive', 2, 2], ['receive', 3, 3]],
      undefined,
    ],
    [
      'counts once what an observation and then a delivery show',
      [FRESH, ['receive', 1, 1], ['observe', 50, 1], ['receive', 60, 2]],
      { first: 2, last: 59, count: 58 },
    ],
    [
      'does not count a message that is on its way',
      [FRESH, ['observe', 3, 2], ['receive', 1, 1], ['receive', 2, 2]],
      undefined,
    ],
    [
      'counts at the start what was dropped after the ack floor',
      [
        ['start', 10, 31, 25, 25],
        ['receive', 31, 26],
      ],
      { first: 11, last: 30, count: 20 },
    ],
    [
      'counts nothing twice when the consumer is created again',
      [FRESH, ['receive', 1, 1], ['observe', 50, 1], ['start', 1, 50, 49, 0], ['receive', 50, 1]],
      { first: 2, last: 49, count: 48 },
    ],
  ])('%s', (_title, steps, dropped) => {
    expect(run(steps)).toEqual(dropped)
  })

  test('does not count a gap of messages that the stream still has', () => {
    const gap: readonly Step[] = [FRESH, ['receive', 10, 1]]
    expect(run(gap, 1)).toBeUndefined()
    expect(run(gap, 4)).toEqual({ first: 1, last: 3, count: 3 })
  })
})
