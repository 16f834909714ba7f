import { Argument, Command, InvalidArgumentError } from 'commander'
import { embeddedServers } from './catalog.ts'
import { installServers, runEmbedded } from './run-embedded.ts'
import type { ServerName } from './server.ts'

interface ServerFlags {
  readonly port?: number
  readonly monitoringPort?: number
  readonly data?: string
  readonly stopWithStdin?: boolean
}

const names: readonly ServerName[] = ['postgres', 'nats', 'clickhouse', 'mqtt']

/** `ponix-embedded <server>` and `ponix-embedded install [servers]`. */
export function embeddedCommand(serversDir: string | undefined): Command {
  const program = new Command('ponix-embedded')
    .description('Runs one of the servers that Ponix needs, on loopback, with its data under .ponix/')
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
  for (const name of names) program.addCommand(serverCommand(program, name, serversDir))
  program
    .command('install')
    .description('gets the programs of the servers without running them; all, if none is named')
    .addArgument(new Argument('[servers...]').choices(names))
    .action(async (chosen: ServerName[]) => installServers(chosen.length > 0 ? chosen : names, serversDir))
  return program
}

function serverCommand(program: Command, name: ServerName, serversDir: string | undefined): Command {
  const { title, defaultPort, defaultMonitoringPort } = embeddedServers[name]
  const command = new Command(name)
    .copyInheritedSettings(program)
    .description(`runs ${title}`)
    .option('--port <number>', `port of 127.0.0.1 (default: ${defaultPort})`, portNumber)
    .option('--data <folder>', `folder of its data (default: .ponix/data/${name})`)
    .option('--stop-with-stdin', 'stops when standard input ends, and so when whoever started it is gone')
  if (defaultMonitoringPort !== undefined) {
    const when = `default: ${defaultMonitoringPort}; none if --port is given`
    command.option('--monitoring-port <number>', `port of its HTTP monitoring (${when})`, portNumber)
  }
  return command.action(async ({ stopWithStdin, ...flags }: ServerFlags) => {
    if (stopWithStdin) process.stdin.once('close', () => process.kill(process.pid, 'SIGTERM')).resume()
    await runEmbedded(name, { ...flags, serversDir })
  })
}

function portNumber(text: string): number {
  const port = Number(text)
  if (/^\d+$/.test(text) && port >= 1 && port <= 65_535) return port
  throw new InvalidArgumentError('Expected a port, 1 to 65535.')
}
