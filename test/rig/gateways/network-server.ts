import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { JsonObject } from '../../../src/domain/entities.ts'
import { projectRoot } from '../program.ts'

/** An `up` event of ChirpStack v4, from its documentation. */
export const CHIRPSTACK_UPLINK = sample('chirpstack-v4-up.json')
/** An `up` message of The Things Stack v3, from its documentation. */
export const TTN_UPLINK = sample('the-things-stack-v3-up.json')

function sample(name: string): JsonObject {
  const message: JsonObject = JSON.parse(readFileSync(join(projectRoot, 'test/fixtures/network-server', name), 'utf8'))
  return message
}
