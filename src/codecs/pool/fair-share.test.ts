import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FairShare } from './fair-share.ts'

class Leaf extends FairShare<Leaf> {
  override next(): this {
    return this
  }

  wait(tasks: number): void {
    this.addLoad(tasks, 0, 0)
  }
}

/** Serves one task per turn for this time; the task takes what `costMs` returns. Returns the served time of each leaf. */
function serve(root: FairShare<Leaf>, untilMs: number, costMs: (leaf: Leaf) => number): Map<Leaf, number> {
  const served = new Map<Leaf, number>()
  for (let ms = 0; ms < untilMs;) {
    const leaf = root.next()
    if (leaf === undefined) break
    const cost = costMs(leaf)
    leaf.charge(cost)
    served.set(leaf, (served.get(leaf) ?? 0) + cost)
    ms += cost
  }
  return served
}

describe('B-3: a fair share', () => {
  it('gives children with queued tasks the same time, whatever their tasks cost', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 250 }), { minLength: 2, maxLength: 8 }), (costs) => {
        const root = new FairShare<Leaf>()
        const leaves = new Map(costs.map((cost) => [new Leaf(root), cost]))
        for (const leaf of leaves.keys()) leaf.wait(1)
        const served = serve(root, 5000, (leaf) => leaves.get(leaf) ?? 0)
        const times = [...leaves.keys()].map((leaf) => served.get(leaf) ?? 0)
        expect(Math.max(...times) - Math.min(...times)).toBeLessThanOrEqual(2 * Math.max(...costs) + 2)
      }),
    )
  })

  it('divides the time of an organization, not that of the lane, by its expressions', () => {
    const root = new FairShare<Leaf>()
    const [first, second] = [new FairShare(root), new FairShare(root)]
    const many = Array.from({ length: 9 }, () => new Leaf(first))
    const single = new Leaf(second)
    for (const leaf of [...many, single]) leaf.wait(1)
    const served = serve(root, 9000, () => 1)
    expect(served.get(single)).toBeGreaterThan(4400)
    for (const leaf of many) expect(served.get(leaf)).toBeGreaterThan(480)
  })

  it('serves only children with queued tasks, and children in debt if there is no other', () => {
    const root = new FairShare<Leaf>()
    const [debtor, other] = [new Leaf(root), new Leaf(root)]
    debtor.wait(1)
    expect(root.next()).toBe(debtor)
    debtor.charge(100)
    expect(root.next()).toBe(debtor)
    debtor.charge(100)
    other.wait(1)
    const served = serve(root, 50, () => 5)
    expect([...served.keys()]).toEqual([other])
    other.wait(-1)
    debtor.wait(-1)
    expect(root.next()).toBeUndefined()
  })

  it('keeps the debt of a child while its queue is empty', () => {
    const root = new FairShare<Leaf>()
    const [debtor, other] = [new Leaf(root), new Leaf(root)]
    debtor.wait(1)
    debtor.charge(100)
    debtor.wait(-1)
    other.wait(1)
    debtor.wait(1)
    const served = serve(root, 90, () => 5)
    expect([...served.keys()]).toEqual([other])
  })
})
