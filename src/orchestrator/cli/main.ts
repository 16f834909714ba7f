import type { ControlClient } from './control-client.ts'
import type { FileOptions } from './options.ts'
import { runProgram } from './program.ts'
import { ConfigError, UserError } from '../config/errors.ts'

// A reader that goes away, as in `… graph | head -1`, is no error of ours.
process.stdout.on('error', () => undefined)
process.stderr.on('error', () => undefined)

/** Loaded only by the commands that need it. */
async function connect({ config }: FileOptions): Promise<ControlClient> {
  const [{ ControlClient }, { runFolder }, { configuredSocket }] = await Promise.all([
    import('./control-client.ts'),
    import('../supervisor/guard/run-folder.ts'),
    import('../config/control.ts'),
  ])
  const folder = runFolder(config, process.env)
  return new ControlClient({ config, folder, socketPath: configuredSocket(config, process.env) ?? folder.socketPath })
}

/** What a failure means to whoever called: the exit codes of the command line. */
async function main(): Promise<number> {
  try {
    return await runProgram(process.argv.slice(2), {
      run: async (file, options) => (await import('./run.ts')).run(file, options),
      validate: async (file) => (await import('./graph.ts')).validate(file),
      graph: async (file, format) => (await import('./graph.ts')).graph(file, format),
      export: async (file, engine, options) => (await import('./export.ts')).exportGraph(file, engine, options),
      completion: async (shell) => (await import('./completion.ts')).completion(shell),
      completeWords: async (program, words) => (await import('./completion.ts')).completeWords(program, words),
      status: async (file, options) => (await import('./control-commands.ts')).status(await connect(file), options),
      logs: async (file, options) => (await import('./logs.ts')).logs(await connect(file), options),
      act: async (file, action, names) =>
        (await import('./control-commands.ts')).act(await connect(file), action, names),
      reload: async (file) => (await import('./control-commands.ts')).reload(await connect(file)),
      down: async (file) => (await import('./control-commands.ts')).down(await connect(file)),
    })
  } catch (error) {
    if (error instanceof UserError) {
      // Each line of a ConfigError begins with the name of the file.
      console.error(error instanceof ConfigError ? error.message : `ponix-orchestrator: ${error.message}`)
      return error.exitCode
    }
    console.error('ponix-orchestrator failed unexpectedly; this is a mistake in the program, please report it:', error)
    return 1
  }
}

process.exitCode = await main()
