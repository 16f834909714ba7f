import { Command } from 'commander'
import { StartupError, ReplicationError } from '../../src/domain/errors.ts'
import { postgresServer } from '../../src/postgres/options.ts'
import { requestSnapshot, type Resnapshot } from '../../src/postgres/replication/slot-administration.ts'
import { CAPTURED_TABLES } from './captured-tables.ts'
import type { CdcEnvironment } from './environment.ts'
import { readStatus, statusText } from './status.ts'

const COMMANDS = 'expected run, status or resnapshot'

/** `ponix-cdc [run|status|resnapshot]`. Its actions reject with what went wrong. */
export function cdcCommand(environment: CdcEnvironment, run: () => Promise<unknown>): Command {
  const program = new Command('ponix-cdc')
    .description('Turns committed changes of PostgreSQL into events in JetStream')
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
    .option('--print-config', 'prints the environment in force, secrets masked, and exits')
  const add = (name: string, description: string, isDefault = false): Command =>
    program.command(name, { isDefault }).copyInheritedSettings(program).description(description)
  add('run', 'runs the service', true)
    .allowExcessArguments()
    .action(async (_options: unknown, { args: [unknown] }: Command) => {
      if (unknown !== undefined) program.error(`unknown command ${JSON.stringify(unknown)}: ${COMMANDS}`)
      await run()
    })
  add('status', 'shows the slot: how far behind, what it keeps on disk, what is in flight')
    .option('--json', 'as JSON')
    .action(({ json }: { readonly json?: true }) => inOneLine(() => status(environment, json === true)))
  add(
    'resnapshot',
    'makes the service send every present row as an event when it starts next; a lost slot is made anew',
  ).action(() => inOneLine(() => resnapshot(environment)))
  return program
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
