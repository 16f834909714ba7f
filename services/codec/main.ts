import { z } from 'zod'
import { loggerEnvironment, port } from '../../src/runner/environment.ts'
import { runProgram } from '../../src/runner/program.ts'
import { addPullCommand } from './pull-command.ts'
import { addPushCommand } from './push-command.ts'
import { addRunCommand } from './run-command.ts'
import { addTestCommand } from './test-command.ts'

await runProgram({
  name: 'ponix-codec',
  description: 'Runs and tests codecs in files, and pushes them to device profiles.',
  environment: z.object({
    ...loggerEnvironment,
    PONIX_GRPC_HOST: z.string().default('127.0.0.1'),
    PONIX_GRPC_PORT: port().prefault('50051'),
  }),
  addCommands(program, environment) {
    addRunCommand(program, environment)
    addTestCommand(program, environment)
    const address = (): string => {
      const { PONIX_GRPC_HOST: host, PONIX_GRPC_PORT: port } = environment()
      return `${host}:${port}`
    }
    addPushCommand(program, address)
    addPullCommand(program, address)
  },
})
