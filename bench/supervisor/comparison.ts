import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { compare, median, type Figure } from '../report/figures.ts'
import type { BenchOptions } from '../report/report.ts'
import { type Contender, type Peers, bare, ours, installPeers } from './peers.ts'

export interface Samples<T> {
  readonly ours: readonly T[]
  readonly bare: readonly T[]
  readonly peers: ReadonlyMap<string, readonly T[]>
}

/** All contenders of a measurement. They run one after the other in rounds; each round starts with a different contender. */
export class Comparison {
  /** A folder for temporary files. */
  readonly scratch: string
  /** Our build in a folder without sources, as an installation from the registry has it. */
  readonly packageFolder: string
  readonly #rounds: number
  readonly #ours: Contender
  readonly #bare: Contender
  readonly #peers: Peers
  readonly #failures = new Map<string, string>()

  /** Installs the peers, unless the options exclude them. */
  constructor({ root, scratch, rounds, alone }: BenchOptions) {
    this.scratch = scratch
    this.packageFolder = join(scratch, 'package')
    for (const part of ['bin', 'dist', 'package.json'])
      cpSync(join(root, part), join(this.packageFolder, part), { recursive: true })
    this.#rounds = rounds
    this.#ours = ours(this.packageFolder)
    this.#bare = bare(join(root, '.ponix/bench/programs'))
    this.#peers = alone ? { present: [], missing: new Map() } : installPeers(join(root, '.ponix/bench/peers'))
  }

  /** Measures all contenders. A peer that fails is reported and left out; a failure of our supervisor or the bare program throws. */
  async rounds<T>(measure: (contender: Contender) => Promise<T>): Promise<Samples<T>> {
    const { present } = this.#peers
    const contenders = [this.#ours, this.#bare, ...present]
    const samples = new Map<Contender, T[]>(contenders.map((contender) => [contender, []]))
    this.#failures.clear()
    for (let round = 0; round < this.#rounds; round++) {
      const order = [...samples.keys()]
      for (const contender of [...order.slice(round % order.length), ...order.slice(0, round % order.length)]) {
        const sample = await this.#attempt(contender, measure)
        if (sample === null) samples.delete(contender)
        else samples.get(contender)?.push(sample.value)
      }
    }
    return {
      ours: samples.get(this.#ours) ?? [],
      bare: samples.get(this.#bare) ?? [],
      peers: new Map(present.map((peer) => [peer.name, samples.get(peer) ?? []])),
    }
  }

  /**
   * Returns the figure of one property of the samples. `flaw` describes an error in samples, such as lost lines; empty if there is
   * none. An error of ours invalidates the figure; an error of a peer is added to its figure.
   */
  figure<T>(
    samples: Samples<T>,
    figure: Pick<Figure, 'id' | 'what' | 'unit' | 'goal'>,
    of: (sample: T) => number,
    flaw: (samples: readonly T[]) => string = () => '',
  ): Figure {
    const own = samples.ours.map(of)
    const { present, missing } = this.#peers
    const peers = present.map(({ name }) => {
      const others = samples.peers.get(name) ?? []
      const value = median(others.map(of))
      const wrong = flaw(others)
      const text = `${Math.round(value).toLocaleString('en-GB')} ${figure.unit}, ${wrong}`
      return [name, this.#failures.get(name) ?? (wrong === '' ? value : text)] as const
    })
    return {
      ...figure,
      ours: flaw(samples.ours) === '' ? median(own) : NaN,
      beside: compare('bare Node', own, samples.bare.map(of)),
      peers: new Map([...peers, ...missing]),
    }
  }

  async #attempt<T>(contender: Contender, measure: (contender: Contender) => Promise<T>): Promise<{ value: T } | null> {
    try {
      return { value: await measure(contender) }
    } catch (error) {
      if (contender === this.#ours || contender === this.#bare) throw error
      console.error(`bench: ${contender.name} failed:`, error instanceof Error ? error.message : error)
      this.#failures.set(contender.name, 'failed')
      return null
    }
  }
}
