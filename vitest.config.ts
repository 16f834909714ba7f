import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

const unit = ['src', 'services', 'scripts', 'bench', 'test/rig'].map((folder) => `${folder}/**/*.test.ts`)
const servers = ['pg', 'nats', 'ch', 'mqtt']
/** They measure memory, so that no other file may run meanwhile. */
const alone = ['test/e2e/memory.test.ts']

const shared = {
  globalSetup: ['test/rig/global-setup.ts'],
  setupFiles: ['test/rig/programs.setup.ts'],
  // A loaded machine makes a poll wait longer than the event takes.
  expect: { poll: { timeout: 15_000 } },
}

/** One project per kind of server a test needs: `x.pg.test.ts` beside `x.ts`. A file that needs several is end to end. */
export default defineConfig({
  test: {
    // Tests mostly wait for processes and servers: a worker per core leaves a third of each core idle.
    maxWorkers: Math.ceil(1.5 * availableParallelism()),
    projects: [
      {
        test: {
          ...shared,
          name: 'unit',
          include: unit,
          exclude: servers.map((server) => `**/*.${server}.test.ts`),
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      ...servers.map((server) => ({
        test: {
          ...shared,
          name: server,
          include: [`src/**/*.${server}.test.ts`, `services/**/*.${server}.test.ts`],
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      })),
      {
        test: {
          ...shared,
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          exclude: alone,
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
      {
        test: { ...shared, name: 'alone', include: alone, fileParallelism: false, hookTimeout: 180_000 },
      },
    ],
  },
})
