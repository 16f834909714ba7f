import { type Command, Option } from 'commander'
import { requireSupportedPlatform } from '../platform.ts'
import { addNames, addPlainCommand, dependenciesOption, fileOptions } from './command.ts'
import { addLineOptions, toPrefixOptions } from './output.ts'

export function addRun(program: Command): Command {
  const run = addPlainCommand(
    program,
    'run',
    'run the processes in the foreground (the default)',
    async ({ logFormat, abortOnExit = false, exitCodeFrom = null, watch = [], timestamps, prefix }) => {
      requireSupportedPlatform()
      const { run } = await import('../run.ts')
      const forceReadable = logFormat === 'text'
      return run(fileOptions(program), {
        logFormat: logFormat ?? 'text',
        forceReadable,
        abortOnExit,
        exitCodeFrom,
        watch,
        prefix: toPrefixOptions({ timestamps, prefix }),
      })
    },
    { isDefault: true },
  )
    .addOption(
      new Option(
        '--log-format <format>',
        'format of the output (default: text); if given, "text" makes JSON records of processes readable even on pipes',
      ).choices(['text', 'json']),
    )
    .option('--abort-on-exit', 'stop everything when any process ends, with its exit code')
    .option('--exit-code-from <name>', 'stop everything when this process ends, with its exit code')
    .option('--watch <names>', 'restart these processes when files change, see the key "watch" (repeatable)', addNames)
    .option('--no-watch', 'restart no process when files change')
    .addOption(dependenciesOption('the processes of --only run with'))
    .addOption(brokerOption())
  return addLineOptions(run)
}

export function brokerOption(): Option {
  return new Option('--mqtt-broker <host:port>', 'address of the MQTT broker; overrides the address in the file')
}
