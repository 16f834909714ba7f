import { z } from 'zod'
import { flag, section, statement, text, wholeNumber } from './schema-fields.ts'

/** What `http` may be, once its names are replaced; for messages. */
export const httpForm =
  'host:port, or a port of 127.0.0.1 alone, with a port from 1 to 65535, such as 127.0.0.1:19100 or [::1]:19100'

const settingsSchema = section('an object', {
  socket: text('the path of a socket')
    .optional()
    .describe(
      'path of the socket that the commands speak to, relative to the folder of the file, folders are made; if not given, one in a folder of the run. Names are interpolated',
    ),
  http: z
    .union([wholeNumber('a port', 1, 65_535), text(httpForm)], { error: httpForm })
    .optional()
    .describe(
      '`host:port`, or a port of 127.0.0.1: the same over TCP, for browsers and Prometheus; if not given, there is none. An address that other machines can reach needs a `token`. Names are interpolated',
    ),
  token: text('a token')
    .optional()
    .describe(
      'every request over `http` then needs `Authorization: Bearer TOKEN`. Meant to be interpolated: the variables that it is made of do not reach the processes',
    ),
}).refine((control) => control.token === undefined || control.http !== undefined, {
  ...statement('has no meaning without "http", which it protects; the socket is open to this user only', ['token']),
})

/** How the running orchestrator can be asked and told things, before interpolation. */
export const controlSchema = z
  .union([flag(), settingsSchema], { error: 'true, false, or an object with "socket", "http" and "token"' })
  .default(true)
  .describe('`false`: the orchestrator takes no commands; an object says where it does')

export type ControlFile = z.infer<typeof controlSchema>
