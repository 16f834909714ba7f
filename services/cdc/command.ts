import type { Command } from 'commander'
import { StartupError, ReplicationError } from '../../src/domain/errors.ts'
import { postgresServer } from '../../src/postgres/database.ts'
import { requestSnapshot, type Resnapshot, readSlotStatus } from '../../src/postgres/replication/slot-administration.ts'
import type { SnapshotProgress } from '../../src/postgres/replication/slot.ts'
import { httpPortVariable } from '../../src/runner/runner.ts'
import { CAPTURED_TABLES } from './entities.ts'
import type { CdcEnvironment } from './environment.ts'

/** `ponix-cdc status` and `ponix-cdc resnapshot`. The actions reject with what went wrong. */
export function addCdcCommands(program: Command, environment: () => CdcEnvironment): void {
  program
    .command('status')
    .description('show the slot: how far behind, what it keeps on disk, what is in flight')
    .option('--json', 'as JSON')
    .action(({ json }: { readonly json?: true }) => inOneLine(() => status(environment(), json === true)))
  program
    .command('resnapshot')
    .description('make the service publish every present row when it starts next; recreates a lost slot')
    .action(() => inOneLine(() => resnapshot(environment())))
}

async function status(environment: CdcEnvironment, asJson: boolean): Promise<void> {
  const found = await readStatus(environment, process.env)
  process.stdout.write(asJson ? `${JSON.stringify(found, undefined, 2)}\n` : statusText(found))
  if (found.state === 'missing' || found.state === 'lost') process.exitCode = 1
}

const OUTCOMES: Readonly<Record<Resnapshot, string>> = {
  kept: 'the slot stays where it is, so no change is missed',
  dropped: 'the lost slot was dropped and is made anew then',
  absent: 'the slot is made then',
}

async function resnapshot(environment: CdcEnvironment): Promise<void> {
  const name = {
    slot: environment.PONIX_CDC_SLOT_NAME,
    publication: environment.PONIX_CDC_PUBLICATION_NAME,
  }
  const outcome = await requestSnapshot(postgresServer(environment), name, CAPTURED_TABLES)
  process.stdout.write(`When ponix-cdc starts next it sends every present row first; ${OUTCOMES[outcome]}.\n`)
}

/** What replication says of itself needs no stack and no cause. */
async function inOneLine(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof ReplicationError)) throw error
    const advice = error.code === 'connection' ? '; PONIX_POSTGRES_HOST and PONIX_POSTGRES_PORT say where it is' : ''
    throw new StartupError(error.message + advice, { cause: error })
  }
}

/** What `ponix-cdc status --json` prints. Null: not known now. */
export interface CdcStatus {
  readonly slot: string
  /** `idle`: nobody streams. `lost`: PostgreSQL has removed WAL that the slot needed. */
  readonly state: 'streaming' | 'idle' | 'missing' | 'lost'
  readonly confirmed_lsn: string | null
  readonly lag_bytes: number | null
  readonly lag_seconds: number | null
  readonly retained_wal_bytes: number | null
  readonly unconfirmed_bytes: number | null
  /** Events that were sent and are not acknowledged; of the service, when it serves its metrics on this machine. */
  readonly in_flight: number | null
  readonly snapshot: SnapshotProgress | null
}

const METRICS_TIMEOUT_MS = 2000

/** Asks PostgreSQL, and the service if it runs here with `PONIX_CDC_HTTP_PORT`. Throws a ReplicationError. */
async function readStatus(
  environment: CdcEnvironment,
  variables: Readonly<Record<string, string | undefined>>,
): Promise<CdcStatus> {
  const slot = environment.PONIX_CDC_SLOT_NAME
  const name = { slot, publication: environment.PONIX_CDC_PUBLICATION_NAME }
  const found = await readSlotStatus(postgresServer(environment), name)
  const metrics = await readMetrics(variables[httpPortVariable('cdc')])
  const inFlight = metrics.get('ponix_cdc_in_flight') ?? null
  if (found === null) return { ...NOTHING, slot, in_flight: inFlight }
  const held = found.active ? 'streaming' : 'idle'
  return {
    slot,
    state: found.invalidated ? 'lost' : held,
    confirmed_lsn: found.confirmed,
    lag_bytes: found.lagBytes,
    lag_seconds: metrics.get('ponix_cdc_lag_seconds') ?? found.lagSeconds,
    retained_wal_bytes: found.retainedBytes,
    unconfirmed_bytes: found.unconfirmedBytes,
    in_flight: inFlight,
    snapshot: found.snapshot,
  }
}

const NOTHING = {
  state: 'missing',
  confirmed_lsn: null,
  lag_bytes: null,
  lag_seconds: null,
  retained_wal_bytes: null,
  unconfirmed_bytes: null,
  snapshot: null,
} as const

/** Empty when nobody answers there. */
async function readMetrics(port: string | undefined): Promise<ReadonlyMap<string, number>> {
  if (port === undefined || port === '' || port === '0') return new Map()
  try {
    const signal = AbortSignal.timeout(METRICS_TIMEOUT_MS)
    const response = await fetch(`http://127.0.0.1:${port}/metrics`, { signal })
    const lines = (await response.text()).split('\n').filter((line) => line.startsWith('ponix_cdc_'))
    return new Map(lines.map((line) => [line.split(' ')[0] ?? '', Number(line.split(' ')[1])]))
  } catch {
    return new Map()
  }
}

const STATES = {
  streaming: 'an instance streams from it',
  idle: 'nobody streams from it',
  missing: 'there is no such slot; ponix-cdc makes it when it starts',
  lost: 'LOST: PostgreSQL has removed WAL it needed; the way back is ponix-cdc resnapshot',
} as const

/** The status for people: one line for each thing. */
function statusText(status: CdcStatus): string {
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
  if (done.length === 0 && partly === null) return 'due: taken when ponix-cdc starts next'
  const reached = partly === null ? [] : [`${partly.table} up to ${JSON.stringify(partly.after)}`]
  return `not complete; stored: ${[...done, ...reached].join(', ')}`
}
