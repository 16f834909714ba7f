import type { Command } from 'commander'
import { UserError } from '../../config/errors.ts'
import { addPlainCommand, fileOptions } from './command.ts'

/** Adds the commands that connect to a running orchestrator. */
export function addControlCommands(program: Command): void {
  const file = () => fileOptions(program)
  const commands = () => import('../control-commands.ts')
  addPlainCommand(program, 'status', 'show the state of the processes', async ({ json = false }) =>
    (await commands()).status(file(), json),
  ).option('--json', 'print JSON')
  program
    .command('logs')
    .description('show the last output of the processes')
    .argument('[names...]', "names of processes, or patterns such as 'web*' (default: all)")
    .option('-f, --follow', 'stream new lines')
    .option('--tail <lines>', 'number of lines of each process', parseTail, 100)
    .option('--json', 'print one JSON object per line')
    .action(async (processes: readonly string[], options: { follow?: true; tail: number; json?: true }) => {
      const { follow = false, tail, json = false } = options
      await (await import('../logs.ts')).logs(file(), { processes, follow, tail, json })
    })
  const verbs = [
    ['start', 'start processes that were stopped or have ended'],
    ['stop', 'stop processes; they stay stopped until they are started'],
    ['restart', 'stop processes and start them again'],
  ] as const
  for (const [verb, description] of verbs) {
    program
      .command(verb)
      .description(description)
      .argument('<names...>', "names of processes, patterns such as 'web*', or all")
      .action(async (names: readonly string[]) => (await commands()).act(file(), verb, names))
  }
  addPlainCommand(program, 'reload', 'read the file again and apply what has changed', async () =>
    (await commands()).reload(file()),
  )
  addPlainCommand(program, 'down', 'stop all processes in order, then the orchestrator', async () =>
    (await commands()).down(file()),
  )
}

function parseTail(typed: string): number {
  if (!/^\d{1,9}$/.test(typed))
    throw new UserError(`--tail ${JSON.stringify(typed)}: expected a whole number of 0 or more`)
  return Number(typed)
}
