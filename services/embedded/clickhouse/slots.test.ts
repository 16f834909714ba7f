import { describe, expect, test } from 'vitest'
import { Slots } from './engine.ts'

function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = (): void => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}

describe('E-2: the slots for concurrent queries', () => {
  test('run a limited number of queries, and the rest in order', async () => {
    const slots = new Slots(2, 10)
    const gates = [gate(), gate(), gate(), gate()]
    const begun = [gate(), gate(), gate(), gate()]
    const order: number[] = []
    const done = gates.map(({ opened }, i) =>
      slots.run(async () => {
        order.push(i)
        begun[i]?.open()
        await opened
      }),
    )
    await begun[1]?.opened
    expect(order).toEqual([0, 1])
    gates[1]?.open()
    await begun[2]?.opened
    expect(order).toEqual([0, 1, 2])
    for (const { open } of gates) open()
    await Promise.all(done)
    expect(order).toEqual([0, 1, 2, 3])
  })

  test('reject a query immediately when the queue is full', async () => {
    const slots = new Slots(1, 1)
    const { opened, open } = gate()
    const first = slots.run(() => opened)
    const second = slots.run(() => Promise.resolve('second'))
    await expect(slots.run(() => Promise.resolve())).rejects.toMatchObject({ code: 202 })
    open()
    await first
    expect(await second).toBe('second')
  })

  test('remove an aborted query from the queue; a failed query frees its slot', async () => {
    const slots = new Slots(1, 10)
    const { opened, open } = gate()
    const first = slots.run(async () => {
      await opened
      throw new Error('failed')
    })
    const controller = new AbortController()
    const given = slots.run(() => Promise.resolve(), controller.signal)
    const third = slots.run(() => Promise.resolve('third'))
    controller.abort(new Error('gone'))
    await expect(given).rejects.toThrow('gone')
    open()
    await expect(first).rejects.toThrow('failed')
    expect(await third).toBe('third')
  })
})
