import type { TelemetryQuery, TelemetryRange } from '../../src/domain/telemetry.ts'

// What the tests of the envelope reader ask for.

/** All that the organization's devices have sent. */
export const ALL: TelemetryQuery = { organizationId: 'org', endDeviceId: null, from: null, to: null, fieldPaths: [] }

/** All that one device has sent. */
export const DEVICE: TelemetryQuery = { ...ALL, endDeviceId: 'device' }

/** From the first to the last. */
export const WHOLE: TelemetryRange = { after: null, limit: null, timeoutMs: 10_000 }
