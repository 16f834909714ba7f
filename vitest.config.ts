import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

const unit = ['src', 'services', 'scripts', 'bench', 'test/rig'].map((folder) => `${folder}/**/*.test.ts`)
const servers = ['pg', 'nats', 'ch', 'mqtt']
/** Pure code, whose tests change nothing that another file sees: they share workers, because a worker costs more than most of them. */
const pure = ['src/domain', 'src/proto', 'src/codecs/cel', 'src/orchestrator/{config,export,supervisor/rules}'].map(
  (folder) => `${folder}/**/*.test.ts`,
)
/** They measure memory, so that no other file may run meanwhile. */
const alone = ['test/e2e/memory.test.ts']

const shared = {
  globalSetup: ['test/rig/global-setup.ts'],
  setupFiles: ['test/rig/programs.setup.ts'],
  // A loaded machine makes a poll wait longer than the event takes.
  expect: { poll: { timeout: 15_000 } },
}

/**
 * Spreads the files of each project over the whole run, the largest or longest first: end-to-end tests, which need the processor,
 * run beside tests that wait for servers, and the last files are short.
 */
class SpreadSequencer extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const counts = new Map<string, number>()
    const numbered = (await super.sort(files)).map((file) => {
      const number = counts.get(file.project.name) ?? 0
      counts.set(file.project.name, number + 1)
      return { file, number }
    })
    const position = ({ file, number }: (typeof numbered)[number]): number =>
      number / (counts.get(file.project.name) ?? 1)
    return numbered.toSorted((a, b) => position(a) - position(b)).map(({ file }) => file)
  }
}

/** One project per kind of server a test needs: `x.pg.test.ts` beside `x.ts`. A file that needs several is end to end. */
export default defineConfig({
  test: {
    // Tests mostly wait for processes and servers: a worker per core leaves a third of each core idle.
    maxWorkers: Math.ceil(1.5 * availableParallelism()),
    sequence: { sequencer: SpreadSequencer },
    projects: [
      {
        test: {
          ...shared,
          name: 'unit',
          include: unit,
          exclude: [...servers.map((server) => `**/*.${server}.test.ts`), ...pure],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: { ...shared, name: 'pure', include: pure, isolate: false, testTimeout: 60_000 },
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
