import { type Command, Option } from 'commander'
import { UserError } from '../../config/errors.ts'
import {
  parsePrefixFormat,
  type PrefixFormat,
  prefixForm,
  type PrefixOptions,
} from '../../supervisor/output/prefixes.ts'

/** The options of commands that show lines of processes. */
export interface LineOptions {
  readonly timestamps?: boolean | undefined
  readonly prefix?: PrefixFormat | undefined
}

export function toPrefixOptions({ timestamps = false, prefix }: LineOptions): PrefixOptions {
  return { timestamps, ...(prefix === undefined ? {} : { format: prefix }) }
}

export function addLineOptions(command: Command): Command {
  return command
    .option('-t, --timestamps', 'show the time at which each line arrived')
    .addOption(
      new Option('--prefix <format>', `before each line: ${prefixForm} (default: name)`).argParser(parsePrefix),
    )
}

function parsePrefix(typed: string): PrefixFormat {
  const format = parsePrefixFormat(typed)
  if (format === null) throw new UserError(`--prefix ${JSON.stringify(typed)}: expected ${prefixForm}`)
  return format
}
