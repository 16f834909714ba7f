import type { Command } from 'commander'
import { StartupError, ReplicationError } from '../../src/domain/errors.ts'
import { postgresServer } from '../../src/postgres/database.ts'
import { formatLsn } from '../../src/postgres/replication/change.ts'
import {
  forgetSlot,
  readSlotStatus,
  requestSnapshot,
  type Resnapshot,
  type SlotStatus,
} from '../../src/postgres/replication/slot-administration.ts'
import type { SnapshotProgress } from '../../src/postgres/replication/slot-state.ts'
import { httpPortVariable } from '../../src/runner/runner.ts'
import type { CdcEnvironment } from './environment.ts'
import { timeoutSignal } from '../../src/runner/timeout-signal.ts'

/** Adds the commands `status`, `resnapshot` and `forget`. Their actions reject on failure. */
export function addCdcCommands(program: Command, environment: () => CdcEnvironment): void {
  program
    .command('status')
    .description('show the slot: its lag, the WAL it retains on disk, events in flight')
    .option('--json', 'print JSON')
    .action(({ json }: { readonly json?: true }) => withoutStack(() => printStatus(environment(), json === true)))
  program
    .command('resnapshot')
    .description('make the service publish every existing row; recreates a lost slot')
    .action(() => withoutStack(() => resnapshot(environment())))
  program
    .command('forget')
    .description('drop the slot: the service continues from now, without the changes that the slot still has')
    .action(() => withoutStack(() => forget(environment())))
}

async function printStatus(environment: CdcEnvironment, asJson: boolean): Promise<void> {
  const status = await readStatus(environment)
  process.stdout.write(asJson ? `${JSON.stringify(status, undefined, 2)}\n` : statusText(status))
  if (status.state === 'missing' || status.state === 'lost') process.exitCode = 1
}

const OUTCOMES: Readonly<Record<Resnapshot, string>> = {
  kept: 'the slot keeps its position, so no change is missed',
  dropped: 'the lost slot was dropped, and the service creates a new one',
  absent: 'the service creates a new slot',
}

async function resnapshot(environment: CdcEnvironment): Promise<void> {
  const outcome = await requestSnapshot(postgresServer(environment), environment.PONIX_CDC_SLOT_NAME)
  process.stdout.write(`The service sends every existing row, now or at its next start; ${OUTCOMES[outcome]}.\n`)
}

async function forget(environment: CdcEnvironment): Promise<void> {
  const slot = environment.PONIX_CDC_SLOT_NAME
  const existed = await forgetSlot(postgresServer(environment), slot)
  const outcome = existed ? 'was dropped' : 'does not exist'
  process.stdout.write(`The slot ${slot} ${outcome}; ponix-cdc continues from now with a new one.\n`)
}

async function withoutStack(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof ReplicationError)) throw error
    const advice = error.code === 'connection' ? '; set PONIX_POSTGRES_HOST and PONIX_POSTGRES_PORT' : ''
    throw new StartupError(error.message + advice, { cause: error })
  }
}

const METRICS_TIMEOUT_MS = 2000

/**
 * Returns the output of `ponix-cdc status --json`; null means unknown. Queries PostgreSQL, and the service's metrics if PONIX_CDC_HTTP_PORT is
 * set. Throws a ReplicationError.
 */
async function readStatus(environment: CdcEnvironment) {
  const status = await readSlotStatus(postgresServer(environment), environment.PONIX_CDC_SLOT_NAME)
  const { slot, snapshot } = status
  const metrics = await readMetrics(process.env[httpPortVariable('cdc')])
  return {
    slot: environment.PONIX_CDC_SLOT_NAME,
    state: stateOf(status),
    confirmed_lsn: slot === null ? null : formatLsn(slot.confirmed),
    lag_bytes: slot?.lagBytes ?? null,
    lag_seconds: (slot === null ? null : metrics.get('ponix_cdc_lag_seconds')) ?? slot?.lagSeconds ?? null,
    retained_wal_bytes: slot?.retainedBytes ?? null,
    unconfirmed_bytes: slot?.unconfirmedBytes ?? null,
    in_flight: metrics.get('ponix_cdc_in_flight') ?? null,
    snapshot,
  }
}

function stateOf({ slot, created }: SlotStatus): keyof typeof STATES {
  if (slot === null) return created ? 'lost' : 'missing'
  if (slot.invalidated) return 'lost'
  return slot.active ? 'streaming' : 'idle'
}

/** Reads the service's metrics; empty if it cannot be reached. */
async function readMetrics(port: string | undefined): Promise<ReadonlyMap<string, number>> {
  if (port === undefined || port === '' || port === '0') return new Map()
  try {
    const signal = timeoutSignal(METRICS_TIMEOUT_MS)
    const response = await fetch(`http://127.0.0.1:${port}/metrics`, { signal })
    const lines = (await response.text()).split('\n').filter((line) => line.startsWith('ponix_cdc_'))
    return new Map(lines.map((line) => [line.split(' ')[0] ?? '', Number(line.split(' ')[1])]))
  } catch {
    return new Map()
  }
}

const STATES = {
  streaming: 'an instance streams from it',
  idle: 'no instance streams from it',
  missing: 'does not exist; ponix-cdc creates it when it starts',
  lost: 'LOST: it was dropped, or PostgreSQL has removed WAL it needed; to recover, run ponix-cdc resnapshot',
} as const

function statusText(status: Awaited<ReturnType<typeof readStatus>>): string {
  const seconds = status.lag_seconds === null ? '' : `, ${status.lag_seconds.toFixed(3)} s`
  const rows: readonly (readonly [string, string | null])[] = [
    ['slot', `${status.slot}: ${STATES[status.state]}`],
    ['confirmed', status.confirmed_lsn],
    ['lag', bytesText(status.lag_bytes, seconds)],
    ['retained WAL', bytesText(status.retained_wal_bytes)],
    ['unconfirmed', bytesText(status.unconfirmed_bytes)],
    ['in flight', status.in_flight === null ? null : `${status.in_flight} events`],
    ['snapshot', snapshotText(status.snapshot)],
  ]
  const known = rows.filter(([, value]) => value !== null)
  return known.map(([name, value]) => `${name.padEnd(14)}${value}\n`).join('')
}

function bytesText(bytes: number | null, more = ''): string | null {
  return bytes === null ? null : `${bytes.toLocaleString('en-GB')} bytes${more}`
}

function snapshotText(snapshot: SnapshotProgress | null): string | null {
  if (snapshot === null) return null
  const { done, partly } = snapshot
  if (done.length === 0 && partly === null) return 'due'
  const reached = partly === null ? [] : [`${partly.table} up to ${JSON.stringify(partly.after)}`]
  return `incomplete; stored: ${[...done, ...reached].join(', ')}`
}
