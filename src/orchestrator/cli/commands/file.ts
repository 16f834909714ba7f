import { basename } from 'node:path'
import { Argument, type Command, Option } from 'commander'
import { UserError } from '../../config/errors.ts'
import { redact } from '../../config/redact.ts'
import {
  type ExportEngine,
  exportEngines,
  type ExportOptions,
  type GraphFormat,
  graphFormats,
  shells,
} from '../options.ts'
import { fileOptions, typedFileOptions } from './command.ts'
import { alternatives, choiceOption } from './usage.ts'

/** Adds the commands that read the file and need no running orchestrator. */
export function addFileCommands(program: Command): void {
  addValidate(program)
  program
    .command('graph')
    .description('print the dependency graph')
    .addOption(choiceOption('--format <format>', 'output format', graphFormats).default('text'))
    .action(async ({ format }: { readonly format: GraphFormat }) =>
      (await import('../file/graph.ts')).graph(fileOptions(program), format),
    )
  program
    .command('init')
    .description('write a first file from package.json, a Procfile or a Compose file')
    .option('--from <path>', 'the file to read (default: the only one in the folder of the new file)')
    .action(async ({ from }: { readonly from?: string }) =>
      (await import('../init/init.ts')).init(typedFileOptions(program).config, from ?? null),
    )
  addExport(program)
}

interface ValidateOptions {
  readonly showEnv?: string
  readonly json?: true
  readonly print?: true
  readonly strict?: true
}

function addValidate(program: Command): void {
  program
    .command('validate')
    .description('check the file and print the start order')
    .option('--show-env <name>', 'print the environment of a process, without secrets, instead of the start order')
    .option('--json', 'print the environment as JSON')
    .option('--strict', 'fail if a program or folder does not exist, instead of a warning')
    .option('--print', 'print the merged file as JSON instead, without secrets')
    .action(async (options: ValidateOptions) => {
      const { showEnv, json = false, print = false, strict = false } = options
      refuseCombinations(options)
      const file = fileOptions(program)
      if (showEnv !== undefined) (await import('../file/show-env.ts')).showEnv(file, showEnv, json)
      else if (print) (await import('../file/print.ts')).print(file)
      else (await import('../file/graph.ts')).validate(file, strict)
    })
}

function refuseCombinations({ showEnv, json, print, strict }: ValidateOptions): void {
  if (showEnv !== undefined && print === true) {
    throw new UserError('validate: --print and --show-env cannot be combined; use one of them')
  }
  if (json === true && showEnv === undefined) {
    throw new UserError('validate --json: has no effect without --show-env NAME')
  }
  if (strict === true && (print === true || showEnv !== undefined)) {
    throw new UserError('validate --strict: has no effect with --print and --show-env; leave it out')
  }
}

function addExport(program: Command): void {
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
      if (options.user !== undefined && engine !== 'systemd') {
        throw new UserError(`export ${engine}: --user has an effect for systemd only; leave it out`)
      }
      await (await import('../file/export.ts')).exportGraph(fileOptions(program), engine, options)
    })
}

function parseEngine(typed: string): ExportEngine {
  const engine = exportEngines.find((known) => known === typed)
  if (engine !== undefined) return engine
  throw new UserError(`export: no engine ${JSON.stringify(redact(typed))}; expected ${alternatives(exportEngines)}`)
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
        throw new UserError(`completion: expected the name of one shell: ${alternatives(shells)}`)
      }
      const { completion, completeWords } = await import('../completion.ts')
      if (shell === undefined || words) completeWords(program, args)
      else completion(shell)
    })
}
