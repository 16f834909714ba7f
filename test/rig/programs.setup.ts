import { afterAll } from 'vitest'
import { killPrograms } from './program.ts'

// Messages name npx if npm has started the program, as it may have started the tests.
for (const name of ['npm_command', 'npm_execpath', 'npm_config_user_agent']) delete process.env[name]

// Hooks run in reverse order, so this one runs after those of the test file.
afterAll(killPrograms)
