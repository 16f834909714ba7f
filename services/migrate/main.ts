import { runProgram } from '../../src/runner/program.ts'
import { addMigrateCommands, migrateEnvironment } from './command.ts'

await runProgram({
  name: 'ponix-migrate',
  description: 'Migrates the databases to the version of this package; concurrent runs apply each migration once.',
  environment: migrateEnvironment,
  addCommands: addMigrateCommands,
})
