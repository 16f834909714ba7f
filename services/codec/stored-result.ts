import { isJsonList, type JsonValue } from '../../src/domain/entities.ts'
import { toRfc3339, type Instant } from '../../src/domain/instant.ts'
import { readingsOf } from '../../src/domain/reading.ts'

/**
 * Returns the result of a codec as the platform stores it: a list of readings as `[{time, data}]` with the time of each. A value that is
 * not a list of readings is returned unchanged.
 */
export function storedResult(result: JsonValue, receivedAt: Instant): JsonValue {
  if (!isJsonList(result)) return result
  const list = readingsOf(result, receivedAt)
  return list.ok ? list.readings.map(({ occurredAt, data }) => ({ time: toRfc3339(occurredAt), data })) : result
}
