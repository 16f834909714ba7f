import { createInterface } from 'node:readline/promises'
import type { Command } from 'commander'
import { createCommandLogger } from '../../../src/runner/logger.ts'
import { type AnalyticsEnvironment, openClients } from '../clients.ts'
import { type Amount, type DataPlace, deviceDataPlaces } from './device-data.ts'

interface PurgeOptions {
  readonly device: string
  readonly organization?: string
  readonly yes?: true
  readonly json?: true
}

/** Adds the command `ponix-analytics purge`. */
export function addPurgeCommand(program: Command, environment: () => AnalyticsEnvironment): void {
  const command = program.command('purge')
  command
    .description(
      'delete all data of a device: rows, envelopes, dead letters, its last-seen time and last error; the device stays',
    )
    .requiredOption('--device <id>', 'the device, which may be deleted already')
    .option('--organization <id>', 'only data of this organization, if the device has moved')
    .option('--yes', 'delete without a question; required without a terminal')
    .option('--json', 'print one JSON object')
    .action((options: PurgeOptions) => purge(command, environment(), options))
}

async function purge(command: Command, environment: AnalyticsEnvironment, options: PurgeOptions): Promise<void> {
  const { device: endDeviceId, organization: organizationId, yes, json } = options
  const clients = await openClients(environment, createCommandLogger('ponix-analytics'))
  try {
    const places = deviceDataPlaces({ ...clients, environment }, { endDeviceId, organizationId })
    const found = await countAll(places)
    if (json) process.stdout.write(`${JSON.stringify({ device: endDeviceId, deleted: yes === true, found })}\n`)
    else process.stdout.write(textOf(endDeviceId, found))
    if (yes !== true && (json || !process.stdin.isTTY || !process.stdout.isTTY)) {
      command.error('nothing is deleted: confirm with --yes')
    }
    if (yes !== true && !(await isConfirmed())) return void process.stdout.write('Nothing is deleted.\n')
    for (const place of places) await place.purge()
    if (!json) process.stdout.write('Deleted. Run the command again to delete envelopes that were in progress.\n')
  } finally {
    for (const close of Object.values(clients.closers)) await close()
  }
}

async function countAll(places: readonly DataPlace[]): Promise<Readonly<Record<string, Amount>>> {
  const found: [string, Amount][] = []
  for (const place of places) found.push([place.name, await place.count()])
  return Object.fromEntries(found)
}

function textOf(endDeviceId: string, found: Readonly<Record<string, Amount>>): string {
  const lines = Object.entries(found).map(([name, { items, bytes }]) => `  ${name.padEnd(20)} ${items}, ${bytes} bytes`)
  return `Data of device ${endDeviceId}:\n${lines.join('\n')}\n`
}

async function isConfirmed(): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  // Ctrl-D and Ctrl-C are a no.
  const closed = new Promise<string>((resolve) => terminal.once('close', () => resolve('')))
  try {
    const answer = await Promise.race([terminal.question('Delete it? [y/N] '), closed])
    return /^y(es)?$/i.test(answer.trim())
  } finally {
    terminal.close()
  }
}
