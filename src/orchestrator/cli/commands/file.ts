import { basename } from 'node:path'
import { Argument, type Command, Option } from 'commander'
import { UserError } from '../../config/errors.ts'
import { redact } from '../../config/redact.ts'
import { type ExportEngine, exportEngines, type ExportOptions, graphFormats, shells } from '../options.ts'
import { addPlainCommand, fileOptions, typedFileOptions } from './command.ts'

/** Adds the commands that read the file and need no running orchestrator. */
export function addFileCommands(program: Command): void {
  const file = () => fileOptions(program)
  addPlainCommand(
    program,
    'validate',
    'check the file and print the start order',
    async ({ showEnv, json = false, print = false, strict = false }) => {
      if (showEnv !== undefined && print)
        throw new UserError('validate: --print and --show-env cannot be combined; use one of them')
      if (showEnv !== undefined) return (await import('../file/show-env.ts')).showEnv(file(), showEnv, json)
      if (json) throw new UserError('validate --json: has no effect without --show-env NAME')
      if (strict && (print || showEnv !== undefined))
        throw new UserError('validate --strict: has no effect with --print and --show-env; leave it out')
      return print
        ? (await import('../file/print.ts')).print(file())
        : (await import('../file/graph.ts')).validate(file(), strict)
    },
  )
    .option('--show-env <name>', 'print the environment of a process, without secrets, instead of the start order')
    .option('--json', 'print the environment as JSON')
    .option('--strict', 'fail if a program or folder does not exist, instead of a warning')
    .option('--print', 'print the merged file as JSON instead, without secrets')
  addPlainCommand(program, 'graph', 'print the dependency graph', async ({ format = 'text' }) =>
    (await import('../file/graph.ts')).graph(file(), format),
  ).addOption(new Option('--format <format>', 'output format').choices(graphFormats).default('text'))
  addPlainCommand(
    program,
    'init',
    'write a first file from package.json, a Procfile or a Compose file',
    async ({ from }) => (await import('../init/init.ts')).init(typedFileOptions(program).config, from ?? null),
  ).option('--from <path>', 'the file to read (default: the only one in the folder of the new file)')
  program
    .command('export')
    .description('write the same graph for another engine')
    .addArgument(
      new Argument('<engine>', 'the engine that will run the processes').choices(exportEngines).argParser(parseEngine),
    )
    .option('--output <folder>', 'write files to this folder (default: write to stdout)')
    .option('--name <name>', "prefix of generated names (default: the name of the file's folder)")
    .option('--image <image>', 'image of the containers (default: NAME:latest)')
    .option('--user <name>', 'user of the processes, for systemd (default: you, unless you are root)', parseUser)
    .action(async (engine: ExportEngine, options: ExportOptions) => {
      if (options.user !== undefined && engine !== 'systemd')
        throw new UserError(`export ${engine}: --user has an effect for systemd only; leave it out`)
      await (await import('../file/export.ts')).exportGraph(file(), engine, options)
    })
}

function parseEngine(typed: string): ExportEngine {
  const engine = exportEngines.find((known) => known === typed)
  if (engine !== undefined) return engine
  throw new UserError(`export: no engine ${JSON.stringify(redact(typed))}; expected systemd, compose or kubernetes`)
}

/** Accepts a name or an id as systemd does in its strict form. */
function parseUser(typed: string): string {
  if (/^(?:[a-z_][a-z0-9_-]*\$?|[1-9]\d*|0)$/i.test(typed)) return typed
  throw new UserError(`--user ${JSON.stringify(redact(typed))}: expected the name or the id of a user, such as ponix`)
}

/** Adds the command `completion`. */
export function addCompletion(program: Command): void {
  program
    .command('completion')
    .description('print a script with which a shell completes commands, options and names')
    .argument('[shell]', `${shells.join(', ')} (default: that of $SHELL)`)
    .addOption(new Option('--words', 'complete the words after --').hideHelp())
    .allowExcessArguments()
    .action(async (typed: string | undefined, { words = false }: { words?: boolean }, { args }: Command) => {
      const wanted = typed ?? basename(process.env['SHELL'] ?? '')
      const shell = shells.find((known) => known === wanted && args.length <= 1)
      if (!words && shell === undefined) {
        throw new UserError(`completion: expected the name of one shell: ${shells.join(', ')}`)
      }
      const { completion, completeWords } = await import('../completion.ts')
      if (shell === undefined || words) completeWords(program, args)
      else completion(shell)
    })
}
