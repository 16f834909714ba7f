import type { GatewayProcess } from './gateway-process.ts'

/** The processes that run, by gateway (G-7). */
export interface GatewayProcessStore {
  upsert(gatewayId: string, process: GatewayProcess): void
  get(gatewayId: string): GatewayProcess | undefined
  remove(gatewayId: string): void
  list(): readonly GatewayProcess[]
  exists(gatewayId: string): boolean
  count(): number
}

export class MemoryGatewayProcessStore implements GatewayProcessStore {
  readonly #processes = new Map<string, GatewayProcess>()

  upsert(gatewayId: string, process: GatewayProcess): void {
    this.#processes.set(gatewayId, process)
  }

  get(gatewayId: string): GatewayProcess | undefined {
    return this.#processes.get(gatewayId)
  }

  remove(gatewayId: string): void {
    this.#processes.delete(gatewayId)
  }

  list(): readonly GatewayProcess[] {
    return [...this.#processes.values()]
  }

  exists(gatewayId: string): boolean {
    return this.#processes.has(gatewayId)
  }

  count(): number {
    return this.#processes.size
  }
}
