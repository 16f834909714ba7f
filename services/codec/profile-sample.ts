import type { ProfileExpectation, ProfileSample } from '../../src/domain/codecs/device-profile.ts'
import { isJsonList, isJsonObject, type JsonObject } from '../../src/domain/entities.ts'
import type { SampleExpectation } from '../../src/domain/codecs/codec-sample.ts'
import { toRfc3339 } from '../../src/domain/instant.ts'
import type { Sample } from './sample-file.ts'

/** Returns the sample as a device profile has it. */
export function toProfileSample({ name, payload, uplink, receivedAt, expectation }: Sample): ProfileSample {
  const expected = toProfileExpectation(expectation)
  return {
    name,
    payload: Buffer.from(payload).toString('hex'),
    ...uplink,
    ...(receivedAt === undefined ? {} : { receivedAt: toRfc3339(receivedAt) }),
    ...(expected === undefined ? {} : { expected }),
  }
}

/** A profile has one error and one result: of several results the last, which is the normalized one. */
function toProfileExpectation(expectation: SampleExpectation): ProfileExpectation | undefined {
  if ('errors' in expectation) return { error: expectation.errors[0] ?? '' }
  const data = expectation.results.at(-1)
  if (data === undefined) return undefined
  if (isJsonList(data)) return { readings: data }
  return isJsonObject(data) ? { data } : undefined
}

/** Returns the sample in the form of TS013's `examples.json`. */
export function toExample({ name, payload, fPort, fCnt, metadata, receivedAt, expected }: ProfileSample): JsonObject {
  const input = {
    bytes: [...Buffer.from(payload, 'hex')],
    ...(fPort === undefined ? {} : { fPort }),
    ...(fCnt === undefined ? {} : { fCnt }),
    ...(metadata === undefined ? {} : { metadata }),
    ...(receivedAt === undefined ? {} : { recvTime: receivedAt }),
  }
  return { type: 'uplink', description: name, input, output: toOutput(expected) }
}

function toOutput(expected: ProfileExpectation | undefined): JsonObject {
  if (expected === undefined) return {}
  if ('error' in expected) return { errors: [expected.error] }
  return { data: 'data' in expected ? expected.data : expected.readings }
}
