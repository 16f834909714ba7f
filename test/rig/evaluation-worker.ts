import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { rolldown } from 'rolldown'

/** The program of an evaluation worker, bundled as the build does it: a worker thread of a test can't run TypeScript. */
export interface BundledWorker extends AsyncDisposable {
  readonly url: URL
}

export async function bundleEvaluationWorker(): Promise<BundledWorker> {
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const folder = await mkdtemp(join(tmpdir(), 'ponix-worker-'))
  const build = await rolldown({
    input: join(root, 'services/analytics/worker.ts'),
    cwd: root,
    platform: 'node',
    tsconfig: join(root, 'tsconfig.json'),
    logLevel: 'silent',
  })
  const file = join(folder, 'worker.mjs')
  await build.write({ file, format: 'esm' })
  await build.close()
  return {
    url: pathToFileURL(file),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}
