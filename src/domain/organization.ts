import type { Instant } from './instant.ts'

export type OrganizationStatus = 'pending' | 'active' | 'inactive'

/** Owns end devices and gateways. Deleted softly: `deletedAt` set, the row stays. */
export interface Organization {
  readonly id: string
  readonly name: string
  readonly status: OrganizationStatus
  readonly createdAt: Instant
  readonly updatedAt: Instant
  readonly deletedAt: Instant | null
}
