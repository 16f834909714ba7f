import { z } from 'zod'
import { loggerEnvironment } from '../../src/runner/environment.ts'
import { runProgram } from '../../src/runner/program.ts'
import { addServerCommands } from './command.ts'

await runProgram({
  name: 'ponix-embedded',
  description: 'Runs one of the servers that Ponix needs, on loopback, with its data under .ponix/.',
  environment: z.object({
    ...loggerEnvironment,
    /** The installation folder of the servers' programs; several clones can share it. */
    PONIX_SERVERS_DIR: z.string().optional(),
    PONIX_NATS_SYNC_INTERVAL: z.enum(['1s', 'always']).default('1s'),
  }),
  addCommands: (program, environment) => addServerCommands(program, environment),
})
