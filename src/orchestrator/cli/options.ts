import type { LoadOptions } from '../config/load.ts'
import { redact } from '../config/redact.ts'
import { parseSocketAddress, type SocketAddress, socketAddressForm } from '../config/socket-address.ts'
import { UsageError } from '../config/errors.ts'

/** What every command that reads the file understands, as it was typed. */
export interface FileOptions {
  readonly config: string
  readonly only: readonly string[]
  readonly disable: readonly string[]
  readonly mqttBroker?: string
}

/** What only `run` understands. */
export interface RunOptions {
  readonly logFormat: 'text' | 'json'
  readonly abortOnExit: boolean
  readonly exitCodeFrom: string | null
}

/** The typed options as the configuration is loaded with them. Throws a UsageError for a bad broker address. */
export function toLoadOptions(typed: FileOptions, exitCodeFrom: string | null = null): LoadOptions {
  const { config, only, disable, mqttBroker } = typed
  return {
    path: config,
    only,
    disable,
    exitCodeFrom,
    mqttBroker: mqttBroker === undefined ? null : brokerAddress(mqttBroker),
    environment: process.env,
  }
}

function brokerAddress(typed: string): SocketAddress {
  const address = parseSocketAddress(typed)
  if (address !== null) return address
  throw new UsageError(`--mqtt-broker ${JSON.stringify(redact(typed))}: expected ${socketAddressForm}`)
}

export const exportEngines = ['systemd', 'compose', 'kubernetes'] as const
export type ExportEngine = (typeof exportEngines)[number]

export interface ExportOptions {
  /** Folder to write to; null: all goes to stdout. */
  readonly output: string | null
  /** Begins the names of what is made; null: the name of the configuration's folder. */
  readonly name: string | null
  /** The image of the containers; null: `NAME:latest`. */
  readonly image: string | null
}

export const shells = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof shells)[number]
