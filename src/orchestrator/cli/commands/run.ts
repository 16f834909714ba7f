import { type Command, Option } from 'commander'
import { requireSupportedPlatform } from '../platform.ts'
import { UserError } from '../../config/errors.ts'
import { addNames, addPlainCommand, dependenciesOption, fileOptions } from './command.ts'
import { addLineOptions, toPrefixOptions } from './output.ts'

export function addRun(program: Command): Command {
  const run = addPlainCommand(
    program,
    'run',
    'run the processes in the foreground (the default)',
    async ({
      logFormat,
      abortOnExit = false,
      exitCodeFrom = null,
      watch = [],
      keys = true,
      timestamps,
      prefix,
      ...background
    }) => {
      requireSupportedPlatform()
      const { detach = false, wait = false, logFile = null, detached: isDetached = false } = background
      if (detach) {
        return (await import('../run/detach.ts')).detach(fileOptions(program), { exitCodeFrom, watch, logFile, wait })
      }
      if (wait)
        throw new UserError('--wait needs --detach; in the foreground, use the command wait in another terminal')
      const { run } = await import('../run/run.ts')
      const forceReadable = logFormat === 'text'
      return run(fileOptions(program), {
        logFormat: logFormat ?? 'text',
        forceReadable,
        abortOnExit,
        exitCodeFrom,
        watch,
        prefix: toPrefixOptions({ timestamps, prefix }),
        logFile,
        isDetached,
        keys,
      })
    },
    { isDefault: true },
  )
    .option('-d, --detach', 'run in the background: until "down" or a reboot, also without the terminal')
    .option('--wait', 'with --detach: wait until all processes are ready or completed')
    .option(
      '--log-file <path>',
      'write the output to this file, which is rotated at 10 MB (default with --detach: a file in ~/.local/state)',
    )
    .addOption(new Option('--detached', 'started by --detach').hideHelp())
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
    .option('--no-keys', 'do not react to keys such as r (restart) and ? (help) in a terminal')
    .addOption(dependenciesOption('the processes of --only run with'))
    .addOption(brokerOption())
  return addLineOptions(run)
}

export function brokerOption(): Option {
  return new Option('--mqtt-broker <host:port>', 'address of the MQTT broker; overrides the address in the file')
}
