// Bundles the programs into dist/: one entry for each, shared chunks, dependencies included. Built aside and moved into
// place at the end, so that an interrupted build, or two at once, never leave half of one.
import { chmod, mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'
import { fingerprint } from './fingerprint.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const dist = join(root, 'dist')

/** Program name → the built file (in dist/) that it runs. */
const programs = {
  'ponix-orchestrator': 'cli',
  'ponix-api': 'api',
  'ponix-cdc': 'cdc',
  'ponix-gateway-orchestrator': 'gateway-orchestrator',
  'ponix-analytics': 'analytics',
  'ponix-migrate': 'migrate',
  'ponix-embedded': 'embedded',
  'ponix-demo': 'demo',
}

async function exists(path) {
  return stat(path).then(
    () => true,
    () => false,
  )
}

async function entries() {
  const found = {}
  for (const name of Object.values(programs)) {
    const source = name === 'cli' ? 'src/cli/main.ts' : `services/${name}/main.ts`
    if (await exists(join(root, source))) found[name] = join(root, source)
    else console.error(`build: ${source} does not exist yet`)
  }
  for (const service of await readdir(join(root, 'services'))) {
    const worker = join(root, 'services', service, 'worker.ts')
    if (await exists(worker)) found[`${service}-worker`] = worker
  }
  return found
}

/** Extensionless programs for the PATH of the orchestrator's children. */
async function writePrograms(folder, built) {
  await mkdir(join(folder, 'bin'))
  for (const [program, name] of Object.entries(programs)) {
    if (!(name in built)) continue
    const path = join(folder, 'bin', program)
    await writeFile(path, `#!/usr/bin/env node\nimport('../${name}.js')\n`)
    await chmod(path, 0o755)
  }
}

async function bundle(input, folder) {
  const build = await rolldown({
    input,
    cwd: root,
    platform: 'node',
    // pg-native is optional; umzug loads its own dependencies by names that no bundler sees.
    external: ['pg-native', 'umzug'],
    tsconfig: join(root, 'tsconfig.json'),
    logLevel: 'warn',
    onLog(level, log, forward) {
      if (log.id?.includes('node_modules') || log.code === 'EVAL') return
      forward(level, log)
    },
  })
  // All in one flat folder: `new URL('./x-worker.js', import.meta.url)` then means the same in an entry and in a chunk.
  await build.write({
    dir: folder,
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: 'chunk-[name]-[hash].js',
  })
  await build.close()
}

/** A folder can't replace a full one in one step; a second build that got in between goes away in the next round. */
async function moveIntoPlace(folder) {
  for (let round = 0; ; round++) {
    const old = `${folder}.old-${round}`
    await rename(dist, old).catch((error) => {
      if (error.code !== 'ENOENT') throw error
    })
    try {
      await rename(folder, dist)
      return
    } catch (error) {
      if ((error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') || round === 20) throw error
    } finally {
      await rm(old, { recursive: true, force: true })
    }
  }
}

// Before the sources are read: a change during the build then makes the next set-up build again.
const sources = fingerprint(root)
const input = await entries()
if (Object.keys(input).length > 0) {
  await mkdir(join(root, '.ponix'), { recursive: true })
  const folder = await mkdtemp(join(root, '.ponix', 'build-'))
  try {
    await bundle(input, folder)
    await writePrograms(folder, input)
    await writeFile(join(folder, 'sources'), sources)
    await chmod(folder, 0o755)
    await moveIntoPlace(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
