import type { Codec } from '../../domain/codecs/codec.ts'
import { Fifo } from '../../domain/fifo.ts'
import { ExpressionHistory, type HistoryLimits } from './expression-history.ts'
import { FairShare } from './fair-share.ts'
import { Flow, type Lane, type Organization, type Sized } from './flow.ts'

/** Limits of the remembered expressions: their number and the total length of their sources. */
const MAX_FLOWS = 20_000
const MAX_CHARACTERS = 8 * 1024 * 1024

/** Remembers the expressions of each organization, and forgets those that were not used for the longest time. */
export class FlowRegistry<T extends Sized> {
  readonly #limits: HistoryLimits
  readonly #lanes: Readonly<Record<Lane, FairShare<Flow<T>>>>
  readonly #organizations = new Map<string, Organization<T>>()
  /** In the order in which they are checked for eviction. */
  readonly #flows = new Fifo<Flow<T>>()
  #characters = 0

  constructor(limits: HistoryLimits, lanes: Readonly<Record<Lane, FairShare<Flow<T>>>>) {
    this.#limits = limits
    this.#lanes = lanes
  }

  get size(): number {
    return this.#flows.length
  }

  /** Returns the flow of an expression, and creates it if it is not known. */
  find(organizationId: string, codec: Codec): Flow<T> {
    // Codecs of different kinds with equal sources share a flow, which is harmless and practically does not happen.
    const source = codec.kind === 'cayenne_lpp' ? '' : codec.source
    const organization = this.#organizations.get(organizationId)
    const flow = organization?.flows.get(source)
    if (flow === undefined) return this.#add(organization ?? this.#addOrganization(organizationId), source)
    flow.used = true
    return flow
  }

  #addOrganization(id: string): Organization<T> {
    const { quick, background } = this.#lanes
    const shares = { quick: new FairShare(quick), background: new FairShare(background) }
    const organization = { id, flows: new Map<string, Flow<T>>(), shares }
    this.#organizations.set(id, organization)
    return organization
  }

  #add(organization: Organization<T>, source: string): Flow<T> {
    const flow = new Flow(organization, source, new ExpressionHistory(this.#limits))
    organization.flows.set(source, flow)
    this.#characters += source.length
    this.#flows.push(flow)
    this.#evict()
    return flow
  }

  /** Evicts flows that were not used since the last check (the clock algorithm, Corbató 1968). */
  #evict(): void {
    while (this.#flows.length > MAX_FLOWS || this.#characters > MAX_CHARACTERS) {
      const flow = this.#flows.shift()
      if (flow === undefined) return
      if (!flow.used) this.#forget(flow)
      else {
        flow.used = false
        this.#flows.push(flow)
      }
    }
  }

  #forget({ organization, source }: Flow<T>): void {
    this.#characters -= source.length
    organization.flows.delete(source)
    if (organization.flows.size === 0) this.#organizations.delete(organization.id)
  }
}
