import { z } from 'zod'
import { commonEnvironment, parseEnvironment } from '../../src/runner/environment.ts'
import { runMain } from '../../src/runner/startup.ts'
import { embeddedCommand } from './command.ts'

const environment = parseEnvironment(
  'ponix-embedded',
  z.object({
    PONIX_LOG_LEVEL: commonEnvironment.PONIX_LOG_LEVEL,
    /** Where the servers' programs are installed, for several clones to share. */
    PONIX_SERVERS_DIR: z.string().optional(),
  }),
)

await runMain('ponix-embedded', () => embeddedCommand(environment.PONIX_SERVERS_DIR).parseAsync())
