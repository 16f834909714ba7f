import { setTimeout as sleep } from 'node:timers/promises'
import type { ClickHouse } from '../../src/clickhouse/connection.ts'
import { messageOf } from '../../src/domain/errors.ts'
import type { MqttPublisher } from '../../src/mqtt/publisher.ts'
import type { Logger } from '../../src/runner/logger.ts'
import { type Arrivals, readArrivals } from './arrivals.ts'
import type { Inventory } from './inventory.ts'

export interface DemoParts {
  readonly inventory: Inventory
  readonly publisher: MqttPublisher
  readonly clickhouse: ClickHouse
  readonly logger: Logger
  /** Between two messages of one device. */
  readonly intervalMs: number
  /** A line for people. */
  readonly print: (line: string) => void
  /** Shown with the first row. */
  readonly summary: string
}

const WATCH_PERIOD_MS = 2_000
const noise = (): number => Math.random() * 2 - 1

/** Speaks as the devices do until the signal aborts. A message the broker does not take is said once and left out. */
export async function speak(
  { inventory, publisher, intervalMs, logger }: Pick<DemoParts, 'inventory' | 'publisher' | 'intervalMs' | 'logger'>,
  signal: AbortSignal,
): Promise<void> {
  const pauseMs = intervalMs / inventory.devices.length
  let failing = false
  for (let turn = 0; !signal.aborted; turn += 1) {
    const device = inventory.devices[turn % inventory.devices.length]
    if (device === undefined) return
    try {
      const topic = `${inventory.organizationId}/${device.deviceId}`
      await publisher.publish(topic, device.demo.measure(new Date(), noise))
      failing = false
    } catch (error) {
      if (!failing) logger.warn(`the broker did not take a message: ${messageOf(error)}`)
      failing = true
    }
    await sleep(pauseMs, undefined, { signal }).catch(() => undefined)
  }
}

/** Says what arrives in ClickHouse until the signal aborts; the summary comes with the first new row. */
export async function watch(parts: DemoParts, signal: AbortSignal): Promise<void> {
  let before: Arrivals | null = null
  let summarised = false
  while (!signal.aborted) {
    try {
      const arrivals = await readArrivals(parts.clickhouse, parts.inventory, signal)
      const fresh = before === null ? 0 : arrivals.total - before.total
      before = arrivals
      if (fresh > 0 && !summarised) parts.print(parts.summary)
      summarised ||= fresh > 0
      if (fresh > 0 && arrivals.newest) parts.print(line(fresh, arrivals.total, arrivals.newest))
    } catch (error) {
      if (!signal.aborted) parts.logger.warn(`cannot read from ClickHouse: ${messageOf(error)}`)
    }
    await sleep(WATCH_PERIOD_MS, undefined, { signal }).catch(() => undefined)
  }
}

function line(fresh: number, total: number, newest: { readonly name: string; readonly data: string }): string {
  return `${fresh} new rows, ${total} in all; ${newest.name}: ${newest.data}`
}
