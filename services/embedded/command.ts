import { Argument, InvalidArgumentError, type Command } from 'commander'
import { embeddedServers, installServers, runEmbedded, type EmbeddedOptions } from './run-embedded.ts'
import type { ServerName, SyncInterval } from './server.ts'

const names: readonly ServerName[] = ['postgres', 'nats', 'clickhouse', 'mqtt']

interface EmbeddedEnvironment {
  readonly PONIX_SERVERS_DIR?: string | undefined
  readonly PONIX_NATS_SYNC_INTERVAL: SyncInterval
}

/** Adds `ponix-embedded <server>` and `ponix-embedded install [servers]`. */
export function addServerCommands(program: Command, environment: () => EmbeddedEnvironment): void {
  for (const name of names) addServerCommand(program, name, environment)
  program
    .command('install')
    .description('install the programs of the servers (default: all) without running them')
    .addArgument(new Argument('[servers...]').choices(names))
    .action(async (chosen: ServerName[]) =>
      installServers(chosen.length > 0 ? chosen : names, environment().PONIX_SERVERS_DIR),
    )
}

function addServerCommand(program: Command, name: ServerName, environment: () => EmbeddedEnvironment): void {
  const { title, defaultPort, defaultMonitoringPort } = embeddedServers[name]
  const command = program
    .command(name)
    .description(`run ${title}`)
    .option('--port <number>', `port on 127.0.0.1 (default: ${defaultPort})`, portNumber)
    .option('--data <folder>', `data folder (default: .ponix/data/${name})`)
    .option('--stop-with-stdin', 'stop when standard input ends, such as when the parent process exits')
  if (defaultMonitoringPort !== undefined) {
    const when = `default: ${defaultMonitoringPort}; none if --port is given`
    command.option('--monitoring-port <number>', `port of the HTTP monitoring (${when})`, portNumber)
  }
  command.action(
    async ({
      stopWithStdin,
      ...flags
    }: Omit<EmbeddedOptions, 'serversDir' | 'syncInterval'> & { readonly stopWithStdin?: true }) => {
      if (stopWithStdin) process.stdin.once('close', () => process.kill(process.pid, 'SIGTERM')).resume()
      const { PONIX_SERVERS_DIR: serversDir, PONIX_NATS_SYNC_INTERVAL: syncInterval } = environment()
      await runEmbedded(name, { ...flags, serversDir, syncInterval })
    },
  )
}

function portNumber(text: string): number {
  const port = Number(text)
  if (/^\d+$/.test(text) && port >= 1 && port <= 65_535) return port
  throw new InvalidArgumentError('expected a port from 1 to 65535.')
}
