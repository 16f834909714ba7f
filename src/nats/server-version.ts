/**
 * The oldest supported nats-server: in earlier versions a full stream can drop its oldest message instead of rejecting the new one
 * (nats-server issue 4771), and before 2.10 the interval of syncs to disk is fixed to two minutes.
 */
export const OLDEST_NATS_SERVER = '2.10.5'

/** Returns whether a version such as `2.10.27` or `2.12.0-RC.1` is the oldest supported version or newer. */
export function isSupportedNatsServer(version: string): boolean {
  return numberOf(version) >= numberOf(OLDEST_NATS_SERVER)
}

function numberOf(version: string): number {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map((part) => Number.parseInt(part, 10))
  return major * 1e6 + minor * 1e3 + patch
}
