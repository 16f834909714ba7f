import { UserError } from '../config/errors.ts'
import type { LoadOptions } from '../config/load.ts'
import { redact } from '../config/redact.ts'
import { parseSocketAddress, type SocketAddress, socketAddressForm } from '../config/socket-address.ts'
import type { PrefixOptions } from '../supervisor/output/prefixes.ts'
import { DEFAULT_SIZE } from '../supervisor/terminal/size.ts'
import type { SupervisorOptions } from '../supervisor/supervisor-options.ts'

/** Options of every command that reads the file, as typed. */
export interface FileOptions {
  readonly config: string
  readonly only: readonly string[]
  readonly disable: readonly string[]
  readonly profile: readonly string[]
  readonly withDependencies?: true
  readonly mqttBroker?: string
}

export type RunOptions = Pick<SupervisorOptions, 'logFormat' | 'forceReadable' | 'abortOnExit' | 'exitCodeFrom'> & {
  /** Processes that watch although the file has no `watch` for them; false: no process watches. */
  readonly watch: readonly string[] | false
  readonly prefix: PrefixOptions
  /** The file that receives the output instead of stdout and stderr; null: none. */
  readonly logFile: string | null
  /** True if `run --detach` has started this program. */
  readonly isDetached: boolean
  /** Whether keys in the terminal have an effect. */
  readonly keys: boolean
}

export const exportEngines = ['systemd', 'compose', 'kubernetes'] as const
export type ExportEngine = (typeof exportEngines)[number]

export interface ExportOptions {
  /** Folder to write to; default: stdout. */
  readonly output?: string
  /** Prefix of generated names; default: the name of the configuration's folder. */
  readonly name?: string
  /** Default: `NAME:latest`. */
  readonly image?: string
  /** The user of the units of systemd; default: the exporting user, unless that is root. */
  readonly user?: string
}

export const graphFormats = ['text', 'mermaid', 'dot', 'json'] as const
export type GraphFormat = (typeof graphFormats)[number]

export const shells = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof shells)[number]

/** Throws a UserError for an invalid broker address. */
export function toLoadOptions(
  typed: FileOptions,
  { exitCodeFrom, watch }: Pick<RunOptions, 'exitCodeFrom' | 'watch'> = { exitCodeFrom: null, watch: [] },
): LoadOptions {
  const { config, only, disable, profile, withDependencies = false, mqttBroker } = typed
  if (withDependencies && only.length === 0) {
    throw new UserError('--with-dependencies has no effect without --only, whose processes have the dependencies')
  }
  return {
    path: config,
    only,
    withDependencies,
    disable,
    profiles: profile,
    exitCodeFrom,
    watch,
    mqttBroker: mqttBroker === undefined ? null : brokerAddress(mqttBroker),
    environment: process.env,
  }
}

function brokerAddress(typed: string): SocketAddress {
  const address = parseSocketAddress(typed)
  if (address !== null) return address
  throw new UserError(`--mqtt-broker ${JSON.stringify(redact(typed))}: expected ${socketAddressForm}`)
}

/** Returns the width of a terminal, 80 if it does not state its width; null if the stream is not a terminal. */
export function columnsOf({ isTTY, columns }: NodeJS.WriteStream): number | null {
  if (!isTTY) return null
  return columns > 0 ? columns : DEFAULT_SIZE.columns
}

/** Returns whether to use colours. NO_COLOR overrides FORCE_COLOR (unlike in Node); without both, only a terminal has colours. */
export function showsColour(stream: NodeJS.WriteStream): boolean {
  const { NO_COLOR = '', FORCE_COLOR } = process.env
  if (NO_COLOR !== '') return false
  if (FORCE_COLOR !== undefined) return FORCE_COLOR !== '0' && FORCE_COLOR !== 'false'
  return stream.isTTY && stream.hasColors()
}
