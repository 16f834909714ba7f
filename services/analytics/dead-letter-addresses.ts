import { ReplayError } from '../../src/domain/errors.ts'
import type { DeadLetter, ReplayOptions } from '../../src/nats/dead-letters.ts'
import { subjectToken } from '../../src/nats/publisher/publication.ts'
import { connectPostgres, postgresOptions, type PostgresDatabase } from '../../src/postgres/database.ts'
import { PostgresEndDeviceRepository } from '../../src/postgres/end-device-repository.ts'
import { decodeRawEnvelope, encodeRawEnvelope } from '../../src/proto/envelope.ts'
import type { Logger } from '../../src/runner/logger.ts'
import type { AnalyticsEnvironment } from './clients.ts'

/** Finds the devices of uplinks that were received before their device existed. Connects to PostgreSQL for the first of them. */
export class DeadLetterAddresses {
  readonly #environment: AnalyticsEnvironment
  readonly #logger: Logger
  #database: Promise<PostgresDatabase> | undefined

  constructor(environment: AnalyticsEnvironment, logger: Logger) {
    this.#environment = environment
    this.#logger = logger
  }

  readonly address: NonNullable<ReplayOptions['address']> = async ({ sequence, body, externalId = '' }: DeadLetter) => {
    if (body === undefined) throw new ReplayError(`the body of dead letter ${sequence} was too large to be stored`)
    const envelope = decodeRawEnvelope(body)
    const { organizationId } = envelope
    const device = await new PostgresEndDeviceRepository(await this.#connect()).findByExternalId(
      organizationId,
      externalId,
    )
    if (device === null) {
      throw new ReplayError(
        `organization ${organizationId} has no end device with external_id ${externalId}; create it first`,
      )
    }
    const { deviceId: endDeviceId } = device
    return {
      subject: `raw_envelopes.${subjectToken(endDeviceId)}`,
      body: encodeRawEnvelope({ ...envelope, endDeviceId }),
    }
  }

  async close(): Promise<void> {
    await (await this.#database)?.close()
  }

  #connect(): Promise<PostgresDatabase> {
    const client = { name: 'ponix-analytics dead-letters', logger: this.#logger }
    this.#database ??= connectPostgres(postgresOptions(this.#environment, client))
    return this.#database
  }
}
