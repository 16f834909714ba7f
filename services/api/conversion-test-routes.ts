import type {
  ConversionTest,
  ConversionTestService,
  TestedConversion,
} from '../../src/domain/codecs/conversion-test-service.ts'
import { now } from '../../src/domain/instant.ts'
import { codecFromProto, uplinkFromProto } from '../../src/proto/device-profile.ts'
import { protoJson } from '../../src/proto/envelope.ts'
import {
  DeviceProfileService,
  type TestPayloadConversionRequest,
} from '../../src/proto/gen/ponix/device_profile/v1/device_profile_pb.ts'
import { optionalInstant, timestampFromInstant } from '../../src/proto/timestamp.ts'
import { unary, type Route } from './route.ts'

/** Returns the route of ponix.device_profile.v1.DeviceProfileService/TestPayloadConversion. */
export function conversionTestRoute(tests: ConversionTestService): Route {
  return unary(DeviceProfileService.method.testPayloadConversion, async (request, call) => {
    const { organizationId, payload } = request
    call.organizationId = organizationId
    const input = {
      organizationId,
      conversion: conversionFromProto(request.conversion),
      payload,
      receivedAt: optionalInstant(request.receivedAt) ?? now(),
      uplink: uplinkFromProto(request),
    }
    return toProto(await tests.test(input, call))
  })
}

function conversionFromProto(conversion: TestPayloadConversionRequest['conversion']): TestedConversion | null {
  switch (conversion.case) {
    case 'payloadConversion':
      return { payloadConversion: conversion.value }
    case 'codec':
      return { codec: codecFromProto(conversion.value) }
    case 'profileId':
      return { profileId: conversion.value }
    case 'deviceId':
      return { deviceId: conversion.value }
    case undefined:
      return null
  }
}

function toProto(test: ConversionTest) {
  if (!test.ok) return { error: { message: test.message, line: test.line, column: test.column } }
  const readings = test.readings.map(({ occurredAt, data }) => ({
    time: timestampFromInstant(occurredAt),
    data: protoJson(data),
  }))
  return { readings, warnings: [...test.warnings] }
}
