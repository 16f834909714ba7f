import { afterAll } from 'vitest'
import { killPrograms } from './program.ts'

// Hooks run in reverse order, so this one runs after those of the test file.
afterAll(killPrograms)
