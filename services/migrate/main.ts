import { runProgram } from '../../src/runner/program.ts'
import { addMigrateCommands } from './command.ts'
import { migrateEnvironment } from './environment.ts'

await runProgram({
  name: 'ponix-migrate',
  description: 'Migrates the databases to the version of this package; concurrent runs apply each migration once.',
  environment: migrateEnvironment,
  addCommands: addMigrateCommands,
})
