import { ConfigError, UserError } from '../config/errors.ts'
import { exitOnOutputError } from './output-error.ts'
import { runProgram } from './program.ts'

process.stdout.on('error', exitOnOutputError)
// Messages without a reader are lost.
process.stderr.on('error', () => undefined)

try {
  await runProgram(process.argv.slice(2))
} catch (error) {
  process.exitCode = error instanceof UserError ? error.exitCode : 1
  // The problems of a file begin with its name and their position.
  if (error instanceof ConfigError && error.problems.length > 0) console.error(error.message)
  else if (error instanceof ConfigError) console.error(error.message.replaceAll(/^/gm, 'ponix-orchestrator: '))
  else if (error instanceof UserError) console.error(`ponix-orchestrator: ${error.message}`)
  else console.error('ponix-orchestrator: internal error; please report it:', error)
}
