import { z } from 'zod'
import { flag, section, text } from './fields.ts'

const form = 'a path, {"path": …, "required": false}, or a list of these'

const envFileEntry = z.union(
  [
    text('a path'),
    section('an object with "path" and "required"', {
      path: text('a path').describe(
        'path of the file, relative to the folder of this file. Variables are interpolated',
      ),
      required: flag().default(true).describe('`false`: the file can be missing'),
    }),
  ],
  { error: 'a path, or an object such as {"path": ".env.local", "required": false}' },
)

/** The keys `env_file` of the file and of a process. */
export const envFileSchema = z
  .union([envFileEntry, z.array(envFileEntry, { error: form })], { error: form })
  .default([])

export type EnvFileSetting = z.infer<typeof envFileSchema>
