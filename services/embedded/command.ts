import { Argument, InvalidArgumentError, type Command } from 'commander'
import { embeddedServers, installServers, runEmbedded, type EmbeddedOptions } from './run-embedded.ts'
import type { ServerName } from './server.ts'

const names: readonly ServerName[] = ['postgres', 'nats', 'clickhouse', 'mqtt']

/** Adds `ponix-embedded <server>` and `ponix-embedded install [servers]`. */
export function addServerCommands(program: Command, serversDir: () => string | undefined): void {
  for (const name of names) addServerCommand(program, name, serversDir)
  program
    .command('install')
    .description('install the programs of the servers (default: all) without running them')
    .addArgument(new Argument('[servers...]').choices(names))
    .action(async (chosen: ServerName[]) => installServers(chosen.length > 0 ? chosen : names, serversDir()))
}

function addServerCommand(program: Command, name: ServerName, serversDir: () => string | undefined): void {
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
    async ({ stopWithStdin, ...flags }: Omit<EmbeddedOptions, 'serversDir'> & { readonly stopWithStdin?: true }) => {
      if (stopWithStdin) process.stdin.once('close', () => process.kill(process.pid, 'SIGTERM')).resume()
      await runEmbedded(name, { ...flags, serversDir: serversDir() })
    },
  )
}

function portNumber(text: string): number {
  const port = Number(text)
  if (/^\d+$/.test(text) && port >= 1 && port <= 65_535) return port
  throw new InvalidArgumentError('expected a port from 1 to 65535.')
}
