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
  // Each line of a ConfigError begins with the name of the file.
  if (error instanceof ConfigError) console.error(error.message)
  else if (error instanceof UserError) console.error(`ponix-orchestrator: ${error.message}`)
  else console.error('ponix-orchestrator: internal error; please report it:', error)
}
