import type { Contender } from './contender.ts'
import type { Peers } from './install-peers.ts'

export interface Samples<T> {
  readonly ours: readonly T[]
  readonly bare: readonly T[]
  readonly peers: ReadonlyMap<string, readonly T[]>
}

interface FieldOptions {
  readonly ours: Contender
  readonly bare: Contender
  readonly peers: Peers
  /** Where ours is installed. */
  readonly packageFolder: string
  /** A folder for what the runs need. */
  readonly scratch: string
  readonly rounds: number
}

/** Everyone who takes part, and the order in which they do: one after the other, round by round, each round from another one on. */
export class Field {
  readonly scratch: string
  readonly packageFolder: string
  readonly #options: FieldOptions
  readonly #failures = new Map<string, string>()

  constructor(options: FieldOptions) {
    this.#options = options
    this.scratch = options.scratch
    this.packageFolder = options.packageFolder
  }

  /** Measures everyone. A peer that fails is left out from then on, and says why; for us and the bare one it is an error. */
  async rounds<T>(measure: (contender: Contender) => Promise<T>): Promise<Samples<T>> {
    const { ours, bare, peers, rounds } = this.#options
    const samples = new Map<Contender, T[]>([ours, bare, ...peers.present].map((contender) => [contender, []]))
    this.#failures.clear()
    for (let round = 0; round < rounds; round++) {
      const order = [...samples.keys()]
      for (const contender of [...order.slice(round % order.length), ...order.slice(0, round % order.length)]) {
        const sample = await this.#attempt(contender, measure)
        if (sample === null) samples.delete(contender)
        else samples.get(contender)?.push(sample.value)
      }
    }
    return {
      ours: samples.get(ours) ?? [],
      bare: samples.get(bare) ?? [],
      peers: new Map(peers.present.map((peer) => [peer.name, samples.get(peer) ?? []])),
    }
  }

  /** The column of each peer: what `of` makes of it, or why there is no figure. */
  peers(of: (name: string) => number | string): ReadonlyMap<string, number | string> {
    const { present, missing } = this.#options.peers
    const measured = present.map(({ name }) => [name, this.#failures.get(name) ?? of(name)] as const)
    return new Map([...measured, ...missing])
  }

  async #attempt<T>(contender: Contender, measure: (contender: Contender) => Promise<T>): Promise<{ value: T } | null> {
    const { ours, bare } = this.#options
    try {
      return { value: await measure(contender) }
    } catch (error) {
      if (contender === ours || contender === bare) throw error
      console.error(`bench: ${contender.name} failed:`, error instanceof Error ? error.message : error)
      this.#failures.set(contender.name, 'failed')
      return null
    }
  }
}
