import { z } from 'zod'
import { parseCron } from '../cron.ts'
import { flag, milliseconds, plainText, section, text } from './fields.ts'
import { absent, exactlyOne, forbid, present, withRules } from './rules.ts'

const watchPath = text('a path or glob')
  .refine((path) => !path.startsWith('!'), { error: 'a path or glob without "!"; write the exception under "ignore"' })
  .refine((path) => !/\{[^}]*,[^}]*\}/.test(path), { error: 'a path or glob without {a,b}; write one entry for each' })

/** The key `watch` of a process. */
export const watchSchema = z
  .union(
    [
      flag(),
      section('an object with "paths", "ignore" and "debounce_ms"', {
        paths: z
          .array(watchPath, { error: 'a list of paths and globs' })
          .min(1, { error: 'a list of at least one path or glob' })
          .optional()
          .describe(
            'files, folders and globs (`*`, `**`, `?`, `[a-z]`), relative to the folder of the file. Default: the `cwd` of the process. Variables are interpolated',
          ),
        ignore: z
          .array(text('a rule as in .gitignore'), { error: 'a list of rules as in .gitignore' })
          .default([])
          .describe(
            'rules as in `.gitignore`, relative to the folder of the file. `node_modules`, `.git` and the log files of processes are always ignored',
          ),
        debounce_ms: milliseconds(0)
          .default(200)
          .describe('the process restarts when this time has passed since the last change'),
      }),
    ],
    { error: 'true, false, or an object such as {"paths": ["src"]}' },
  )
  .default(false)
  .describe(
    '`true`, or an object: restarts the process when files change, also after it has ended or failed; a task runs again. `true` watches its `cwd`',
  )

export type WatchFile = z.infer<typeof watchSchema>

/** The key `schedule` of a task. */
export const scheduleSchema = text('a schedule such as "0 3 * * *" or "@daily"')
  .check(({ value, issues }) => {
    const schedule = parseCron(value)
    if (typeof schedule !== 'string') return
    const message = `a schedule such as "0 3 * * *" or "@daily" (${schedule})`
    issues.push({ code: 'custom', message, input: value })
  })
  .optional()
  .describe(
    'only for a task: runs it at these times and not at the start. A cron expression in local time, `minute hour day month weekday`, with an optional first field for seconds; or `@yearly`, `@monthly`, `@weekly`, `@daily`, `@hourly`',
  )

const hookForm = 'a line for /bin/sh, or an object with "command" or "webhook"'

/** The key `on_failed` of the file and of a process. */
export const onFailedSchema = z
  .union(
    [
      text(hookForm),
      withRules(
        section(hookForm, {
          command: text('a program name or path')
            .optional()
            .describe('program, run without a shell. Variables are interpolated'),
          args: z
            .array(plainText('a string'), { error: 'a list of strings' })
            .optional()
            .describe('its arguments. Variables are interpolated'),
          webhook: text('an http or https URL')
            .optional()
            .describe('URL that receives a JSON object by POST. Variables are interpolated'),
        }),
        [
          exactlyOne(['command', 'webhook']),
          forbid({ args: present, command: absent }, 'args', 'has no effect without "command"'),
        ],
      ),
    ],
    { error: hookForm },
  )
  .optional()

export type OnFailedFile = z.infer<typeof onFailedSchema>
