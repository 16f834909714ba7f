import type { Group } from './process-group.ts'

export interface LeftoverHandling {
  /** Ends what is in a group. */
  empty(group: Group): Promise<void>
  /** Ends those who left the groups of the first so many children. */
  endEscaped(children: number): Promise<void>
  /** Nothing of it is left. */
  onEmpty(): void
}

/** What outlived a child: members of its group, and who left that. It is ended before the next start, or at the end. */
export class Leftovers {
  readonly #groups = new Set<Group>()
  readonly #handling: LeftoverHandling
  #children = 0
  /** A child ran since the last look for those who left their groups. */
  #mayHaveEscaped = false
  #emptying: Promise<void> | null = null
  #clearing: Promise<void> | null = null

  constructor(handling: LeftoverHandling) {
    this.#handling = handling
  }

  get groups(): readonly Group[] {
    return [...this.#groups]
  }

  /** Nothing is known to be left, nor being looked for. */
  get isEmpty(): boolean {
    return this.#groups.size === 0 && this.#clearing === null
  }

  /** Takes a group whose leader has gone, if anybody is left in it. */
  add(group: Group): void {
    if (!group.isEmpty()) this.#groups.add(group)
  }

  /** A child starts, which may leave something behind. */
  expect(): void {
    this.#children++
    this.#mayHaveEscaped = true
  }

  /** Ends all of it; resolves when it is gone. */
  async clear(): Promise<void> {
    if (this.isEmpty && !this.#mayHaveEscaped) return
    this.#clearing ??= this.#clear()
    await this.#clearing
  }

  /**
   * Ends all of it, then calls `start`. With `hurry` only groups are ended before: who left them is looked for afterwards, for
   * that means the whole machine.
   */
  async clearThen(start: () => void, hurry: boolean): Promise<void> {
    const children = this.#children
    await (hurry ? this.#emptyGroups() : this.clear())
    start()
    if (hurry) void this.#handling.endEscaped(children)
  }

  async #clear(): Promise<void> {
    await this.#emptyGroups()
    this.#mayHaveEscaped = false
    await this.#handling.endEscaped(this.#children)
    this.#clearing = null
    this.#handling.onEmpty()
  }

  async #emptyGroups(): Promise<void> {
    if (this.#groups.size === 0) return
    this.#emptying ??= Promise.all(
      this.groups.map(async (group) => {
        await this.#handling.empty(group)
        this.#groups.delete(group)
      }),
    ).then(() => {
      this.#emptying = null
      this.#handling.onEmpty()
    })
    await this.#emptying
  }
}
