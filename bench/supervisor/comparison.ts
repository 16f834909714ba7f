import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Contender, type Peers, bare, ours, installPeers, NO_PEERS } from './peers.ts'

export interface Samples<T> {
  readonly ours: readonly T[]
  readonly bare: readonly T[]
  readonly peers: ReadonlyMap<string, readonly T[]>
}

interface ComparisonOptions {
  readonly ours: Contender
  readonly bare: Contender
  readonly peers: Peers
  /** The folder in which the supervisor of this repository is installed. */
  readonly packageFolder: string
  /** A folder for temporary files. */
  readonly scratch: string
  readonly rounds: number
}

/** All contenders of a measurement. They run one after the other in rounds; each round starts with a different one. */
export class Comparison {
  readonly scratch: string
  readonly packageFolder: string
  readonly #options: ComparisonOptions
  readonly #failures = new Map<string, string>()

  constructor(options: ComparisonOptions) {
    this.#options = options
    this.scratch = options.scratch
    this.packageFolder = options.packageFolder
  }

  /** Measures all contenders. A peer that fails is reported and left out; a failure of ours or of the bare program throws. */
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

  /** The column of each peer: the figure that `of` returns, or the reason why there is none. */
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

/** Installs the peers and copies our build to a folder without sources, as an installation from the registry has it. */
export function prepare(
  root: string,
  { rounds, withPeers }: { readonly rounds: number; readonly withPeers: boolean },
): Comparison {
  const home = join(root, '.ponix/bench')
  mkdirSync(home, { recursive: true })
  const scratch = mkdtempSync(join(home, 'supervisor-'))
  process.once('exit', () => rmSync(scratch, { recursive: true, force: true, maxRetries: 5 }))
  const packageFolder = join(scratch, 'package')
  for (const part of ['bin', 'dist', 'package.json'])
    cpSync(join(root, part), join(packageFolder, part), { recursive: true })
  return new Comparison({
    ours: ours(packageFolder),
    bare: bare(join(home, 'programs')),
    peers: withPeers ? installPeers(join(home, 'peers')) : NO_PEERS,
    scratch,
    rounds,
    packageFolder,
  })
}
