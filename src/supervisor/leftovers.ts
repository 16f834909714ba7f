import type { Group } from './process-group.ts'

export interface LeftoverHandling {
  /** Ends what is in a group. */
  empty(group: Group): Promise<void>
  /** Ends those who left their groups. */
  endEscaped(): Promise<void>
  /** Nothing is left. */
  onEmpty(): void
}

/** What outlived a child: members of its group, and who left that. It is ended before the next start, or at the end. */
export class Leftovers {
  readonly #groups = new Set<Group>()
  readonly #handling: LeftoverHandling
  /** A child ran since the last look for those who left their groups. */
  #mayHaveEscaped = false
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
    this.#mayHaveEscaped = true
  }

  /** Ends all of it; resolves when it is gone. */
  async clear(): Promise<void> {
    if (this.isEmpty && !this.#mayHaveEscaped) return
    this.#clearing ??= this.#clear()
    await this.#clearing
  }

  async #clear(): Promise<void> {
    await Promise.all(
      this.groups.map(async (group) => {
        await this.#handling.empty(group)
        this.#groups.delete(group)
      }),
    )
    this.#mayHaveEscaped = false
    await this.#handling.endEscaped()
    this.#clearing = null
    this.#handling.onEmpty()
  }
}
