import type { Group } from './process-group.ts'

/** Groups that outlived their leader. They are emptied before the next start, or at the end. */
export class Leftovers {
  readonly #groups = new Set<Group>()
  readonly #empty: (group: Group) => Promise<void>
  readonly #onEmpty: () => void
  #clearing: Promise<void> | null = null

  /** `empty` ends what is in a group; `onEmpty` is called whenever nothing is left. */
  constructor(empty: (group: Group) => Promise<void>, onEmpty: () => void) {
    this.#empty = empty
    this.#onEmpty = onEmpty
  }

  get groups(): readonly Group[] {
    return [...this.#groups]
  }

  get isEmpty(): boolean {
    return this.#groups.size === 0
  }

  /** Takes a group whose leader has gone, if anybody is left in it. */
  add(group: Group): void {
    if (!group.isEmpty()) this.#groups.add(group)
  }

  /** Ends all of them; resolves when they are gone. */
  async clear(): Promise<void> {
    if (this.isEmpty) return
    this.#clearing ??= this.#clear()
    await this.#clearing
  }

  async #clear(): Promise<void> {
    await Promise.all(
      this.groups.map(async (group) => {
        await this.#empty(group)
        this.#groups.delete(group)
      }),
    )
    this.#clearing = null
    this.#onEmpty()
  }
}
