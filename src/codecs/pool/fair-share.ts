/** Queued tasks, their payload bytes, and the expected time of their evaluation. */
export type Load = Readonly<Record<'tasks' | 'bytes' | 'ms', number>>

/** The credit, in ms of worker time, with which a node begins a round. */
const QUANTUM_MS = 1

/**
 * A node in a tree of shares: a lane has those of the organizations, an organization has those of its expressions. The children of
 * a node with queued tasks have equal shares of its time. This is deficit round robin (Shreedhar and Varghese 1995) in the variant
 * that needs no costs in advance (surplus round robin, Adiseshu, Parulkar and Varghese 1996): a node is served while its credit is
 * positive and pays the measured time afterwards. It keeps its debt while its queue is empty.
 */
export class FairShare<L extends FairShare<L>> {
  readonly #load = { tasks: 0, bytes: 0, ms: 0 }
  #creditMs = 0
  #parent: FairShare<L> | undefined
  /** The children with queued tasks. */
  readonly #waiting = new Set<FairShare<L>>()
  /** The child in turn. */
  #current: FairShare<L> | undefined

  constructor(parent?: FairShare<L>) {
    this.#parent = parent
  }

  /** The load of this node and its descendants. */
  get load(): Load {
    return this.#load
  }

  /** Returns the descendant to serve next; undefined without queued tasks. */
  next(): L | undefined {
    const current = this.#current
    if (current !== undefined && current.#creditMs > 0) return current.next()
    let largestMs = -Infinity
    for (const child of this.#waiting) {
      if (child.#creditMs > 0) {
        this.#current = child
        return child.next()
      }
      largestMs = Math.max(largestMs, child.#creditMs)
    }
    if (this.#waiting.size === 0) return undefined
    // The next round; a child with a large debt is not served in it.
    for (const child of this.#waiting) child.#creditMs += QUANTUM_MS - largestMs
    return this.next()
  }

  /** Charges worker time to this node and its ancestors. */
  charge(ms: number): void {
    this.#creditMs -= ms
    this.#parent?.charge(ms)
  }

  /**
   * Returns whether the load is within its share after an addition: the loads of this node and of its ancestors, added up, are at
   * most the capacity. So every node leaves room for one more sibling (dynamic queue length thresholds, Choudhury and Hahne 1998):
   * a single expression can use a third of the capacity.
   */
  fits(capacity: Load, added: Load): boolean {
    const load = this.#load
    const left = {
      tasks: capacity.tasks - load.tasks - added.tasks,
      bytes: capacity.bytes - load.bytes - added.bytes,
      ms: capacity.ms - load.ms - added.ms,
    }
    if (left.tasks < 0 || left.bytes < 0 || left.ms < 0) return false
    return this.#parent?.fits(left, added) ?? true
  }

  protected addLoad(tasks: number, bytes: number, ms: number): void {
    const load = this.#load
    const waited = load.tasks > 0
    load.tasks += tasks
    load.bytes += bytes
    load.ms += ms
    const parent = this.#parent
    if (parent === undefined) return
    if (load.tasks > 0 !== waited) parent.#setWaiting(this, !waited)
    parent.addLoad(tasks, bytes, ms)
  }

  protected moveTo(parent: FairShare<L>): void {
    const { tasks, bytes, ms } = this.#load
    this.addLoad(-tasks, -bytes, -ms)
    this.#parent = parent
    this.addLoad(tasks, bytes, ms)
  }

  #setWaiting(child: FairShare<L>, waits: boolean): void {
    if (waits) this.#waiting.add(child)
    else this.#waiting.delete(child)
    if (this.#current === child) this.#current = undefined
  }
}
