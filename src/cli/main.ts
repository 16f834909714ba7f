import { UsageError } from './usage-error.ts'
import { runProgram } from './program.ts'

// A reader that goes away, as in `… graph | head -1`, is no error of ours.
process.stdout.on('error', () => undefined)
process.stderr.on('error', () => undefined)

/** What a failure means to whoever called: the exit codes of the command line. */
async function main(): Promise<number> {
  try {
    return await runProgram(process.argv.slice(2), {
      run: async (file, options) => (await import('./run.ts')).run(file, options),
      validate: async (file) => (await import('./validate.ts')).validate(file),
      graph: async (file, format) => (await import('./graph.ts')).graph(file, format),
      export: async (file, engine, options) => (await import('./export.ts')).exportGraph(file, engine, options),
      completion: async (shell) => (await import('./completion.ts')).completion(shell),
      completeWords: async (program, words) => (await import('./completion-words.ts')).completeWords(program, words),
    })
  } catch (error) {
    if (error instanceof UsageError || (error instanceof Error && error.name === 'RunError')) {
      console.error(`ponix-orchestrator: ${error.message}`)
      return 2
    }
    if (error instanceof Error && error.name === 'ConfigError') {
      console.error(error.message)
      return 2
    }
    console.error('ponix-orchestrator failed unexpectedly; this is a mistake in the program, please report it:', error)
    return 1
  }
}

process.exitCode = await main()
