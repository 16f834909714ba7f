import { z } from 'zod'
import { loggerEnvironment } from '../../src/runner/environment.ts'
import { runProgram } from '../../src/runner/program.ts'
import { addRunCommand } from './run-command.ts'
import { addTestCommand } from './test-command.ts'

await runProgram({
  name: 'ponix-codec',
  description: 'Runs and tests codecs in files, with the limits of the platform.',
  environment: z.object(loggerEnvironment),
  addCommands(program, environment) {
    addRunCommand(program, environment)
    addTestCommand(program, environment)
  },
})
