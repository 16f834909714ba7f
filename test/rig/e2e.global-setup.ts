import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** End-to-end tests run the built programs: builds them first. */
export async function setup(): Promise<void> {
  const build = spawn(process.execPath, [fileURLToPath(new URL('../../scripts/build.mjs', import.meta.url))], {
    stdio: 'inherit',
  })
  const [code] = await once(build, 'close')
  if (code !== 0) throw new Error('the build failed')
}
