import type { DeviceProfile } from '../domain/codecs/device-profile.ts'
import { DomainError } from '../domain/errors.ts'
import type {
  CallOptions,
  DeviceProfileChange,
  DeviceProfileRepository,
  Page,
  PageRequest,
  ProfileCodec,
} from '../domain/ports.ts'
import type { PostgresDatabase, Statement } from './database.ts'
import { PostgresRepository } from './repository.ts'

/** Waits until every transaction that writes a device with the profile has ended: its foreign key locks the profile. */
const LOCK: Statement = {
  name: 'lock_device_profile',
  text: 'SELECT profile_id FROM device_profiles WHERE profile_id = $1 FOR UPDATE',
}
const COUNT_DEVICES: Statement = {
  name: 'count_devices_of_profile',
  text: 'SELECT count(*)::int AS count FROM end_devices WHERE profile_id = $1',
}
const CODECS: Statement = {
  name: 'get_profile_codecs',
  text: `SELECT profile_id AS "profileId", name AS "profileName", codec_kind AS kind, codec_source AS source
    FROM device_profiles WHERE profile_id = ANY($1)`,
}

export class PostgresDeviceProfileRepository
  extends PostgresRepository<DeviceProfile>
  implements DeviceProfileRepository
{
  constructor(database: PostgresDatabase) {
    super(database, {
      kind: 'Device profile',
      table: 'device_profiles',
      id: 'profileId',
      columns: {
        profileId: 'profile_id',
        organizationId: 'organization_id',
        name: 'name',
        codecKind: 'codec_kind',
        codecSource: 'codec_source',
        samples: 'samples',
        fields: 'fields',
        createdAt: 'created_at',
        updatedAt: 'updated_at',
      },
      changeable: ['name', 'codecKind', 'codecSource', 'samples', 'fields'],
      emptyAsNull: ['organizationId'],
      unlisted: { samples: `'[]'::json` },
    })
  }

  async list(organizationId: string, page: PageRequest, options?: CallOptions): Promise<Page<DeviceProfile>> {
    return await this.page(this.runner(options), [organizationId], page)
  }

  async getCodecs(profileIds: readonly string[], options?: CallOptions): Promise<ReadonlyMap<string, ProfileCodec>> {
    const rows = await this.database.query<ProfileCodec & { profileId: string }>(CODECS, [profileIds], options)
    return new Map(rows.map(({ profileId, ...codec }) => [profileId, codec]))
  }

  async updateUnchanged(
    { profileId, updatedAt }: DeviceProfile,
    change: DeviceProfileChange,
    options?: CallOptions,
  ): Promise<DeviceProfile | null> {
    return await this.updateRow(this.runner(options), profileId, change, updatedAt)
  }

  override async delete(id: string, options?: CallOptions): Promise<DeviceProfile | null> {
    return await this.database.transaction(async (run) => {
      await run(LOCK, [id])
      const [devices] = await run<{ count: number }>(COUNT_DEVICES, [id])
      const count = devices?.count ?? 0
      if (count > 0) {
        const message = `Device profile ${id} is in use by ${count} end device${count === 1 ? '' : 's'}; change them first`
        throw new DomainError('failed_precondition', message)
      }
      const [deleted] = await run<DeviceProfile>(this.statements.delete, [id])
      return deleted ?? null
    }, options)
  }
}
