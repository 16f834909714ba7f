import { z } from 'zod'
import { controlSchema } from '../control.ts'
import { parseSocketAddress, socketAddressForm } from '../socket-address.ts'
import { onFailedSchema } from './automation.ts'
import { envFileSchema } from './env-file.ts'
import { environmentSchema, section, text } from './fields.ts'
import { hintFor, withHint } from './hints.ts'
import { processSchema } from './process.ts'
import { secretNamesSchema } from './secret-names.ts'

const namePattern = /^(?!\d+$)[A-Za-z0-9_][A-Za-z0-9_.:-]*$/
const nameForm =
  'a name of letters, digits, "_", "-", "." and ":" that begins with a letter, a digit or "_" and is not a number'

const extendsForm = 'the path of a file, or a list of paths'

export const configSchema = section('an object with the key "processes"', {
  $schema: z
    .string({ error: 'a URL or path of a JSON Schema' })
    .optional()
    .describe('path of `commonplace.schema.json`, for editors'),
  extends: z
    .union([text(extendsForm), z.array(text(extendsForm), { error: extendsForm })], { error: extendsForm })
    .optional()
    .describe(
      'file, or list of files, that this file extends: objects are merged, other values replace, `null` removes; relative to the folder of this file',
    ),
  env: environmentSchema.default({}).describe('environment variables of every process'),
  env_file: envFileSchema.describe(
    'file of `NAME=value` lines for every process, or a list of files in which later files override earlier ones; `env` overrides them',
  ),
  secret_names: secretNamesSchema,
  control: controlSchema,
  on_failed: onFailedSchema.describe('as `on_failed` of a process, for every process without this key'),
  processes: z
    .record(z.string().regex(namePattern, { error: nameForm }), processSchema, {
      error: withHint('an object of name → process', hintFor('object', 'write {"NAME": {"command": "…"}}')),
    })
    .refine((processes) => Object.keys(processes).length > 0, {
      error: 'is empty; expected at least one process, such as {"store": {"command": "my-store"}}',
      params: { statement: true },
    })
    .meta({ minProperties: 1 })
    .describe('the processes, by name'),
  mqtt_broker: text('host:port')
    .refine((value) => value.includes('${') || parseSocketAddress(value) !== null, { error: socketAddressForm })
    .optional()
    .describe('address of the MQTT broker that processes use, `host:port`. Default: none. Variables are interpolated'),
})
