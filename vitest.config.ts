import { defineConfig } from 'vitest/config'

const unit = ['src', 'services', 'scripts', 'bench', 'test/rig'].map((folder) => `${folder}/**/*.test.ts`)
const servers = ['pg', 'nats', 'ch', 'mqtt']

/** What is polled for comes soon, but a machine may be busy with other things; milliseconds. */
const patience = { poll: { timeout: 15_000 } }

/** One project per kind of real server a test needs: `x.pg.test.ts` beside `x.ts`. A file that needs two is end to end. */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: unit,
          exclude: servers.map((server) => `**/*.${server}.test.ts`),
          expect: patience,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      ...servers.map((server) => ({
        test: {
          name: server,
          include: [`src/**/*.${server}.test.ts`, `services/**/*.${server}.test.ts`],
          globalSetup: [`test/rig/${server}.global-setup.ts`],
          expect: patience,
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      })),
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          globalSetup: ['test/rig/e2e.global-setup.ts'],
          fileParallelism: false,
          expect: patience,
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
})
