import type { TelemetryQuery, TelemetryRange } from '../../src/domain/telemetry.ts'

/** All envelopes of the organization. */
export const ALL: TelemetryQuery = { organizationId: 'org', endDeviceId: null, from: null, to: null, fieldPaths: [] }

/** All envelopes of one device. */
export const DEVICE: TelemetryQuery = { ...ALL, endDeviceId: 'device' }

/** No limits. */
export const WHOLE: TelemetryRange = { after: null, limit: null, timeoutMs: 10_000 }
