import { toRfc3339, type Instant } from '../domain/instant.ts'
import type { EnvelopeRow } from './envelope-writer.ts'
import { toJsonText } from './json-text.ts'

/** What DateTime64(6) can hold; ClickHouse would silently store the nearest time that it can. */
const FIRST_INSTANT = BigInt(Date.UTC(1900, 0, 1)) * 1000n
const END_OF_INSTANTS = BigInt(Date.UTC(2300, 0, 1)) * 1000n

/** One line of JSONEachRow for the table of processed envelopes. Throws a RangeError for what the table cannot hold. */
export function toRowText({ envelope, identity }: EnvelopeRow): string {
  const columns = [
    `"organization_id":${JSON.stringify(envelope.organizationId)}`,
    `"end_device_id":${JSON.stringify(envelope.endDeviceId)}`,
    `"occurred_at":"${timeText(envelope.occurredAt, 'occurred_at')}"`,
    `"processed_at":"${timeText(envelope.processedAt, 'processed_at')}"`,
    `"identity":${JSON.stringify(identity)}`,
    `"data":${toJsonText(envelope.data)}`,
  ]
  return `{${columns.join(',')}}\n`
}

function timeText(instant: Instant, column: string): string {
  if (instant < FIRST_INSTANT || instant >= END_OF_INSTANTS) {
    throw new RangeError(`${column} is outside the years 1900 to 2299, which is all that the table can hold`)
  }
  return toRfc3339(instant).slice(0, -1).replace('T', ' ')
}
