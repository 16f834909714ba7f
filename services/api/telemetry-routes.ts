import type { TelemetryService } from '../../src/domain/telemetry-service.ts'
import { processedEnvelopeToProto } from '../../src/proto/envelope.ts'
import { TelemetryService as Service } from '../../src/proto/gen/ponix/analytics/v1/telemetry_pb.ts'
import { optionalInstant } from '../../src/proto/timestamp.ts'
import { unary, type Route } from './unary.ts'

/** ponix.analytics.v1.TelemetryService. */
export function telemetryRoutes(telemetry: TelemetryService): readonly Route[] {
  const { method } = Service
  return [
    unary(method.getLatest, async ({ organizationId, endDeviceId, fieldPaths }, call) => {
      call.organizationId = organizationId
      const envelope = await telemetry.latest(organizationId, endDeviceId, fieldPaths, call)
      return envelope === null ? {} : { envelope: processedEnvelopeToProto(envelope) }
    }),
    unary(method.queryEnvelopes, async ({ organizationId, endDeviceId, from, to, fieldPaths, ...page }, call) => {
      call.organizationId = organizationId
      const times = { from: optionalInstant(from), to: optionalInstant(to) }
      const input = { organizationId, endDeviceId, fieldPaths, ...times }
      const { items, nextPageToken } = await telemetry.list(input, page, call)
      return { envelopes: items.map(processedEnvelopeToProto), nextPageToken }
    }),
  ]
}
