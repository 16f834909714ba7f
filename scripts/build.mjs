// Bundles the programs into dist/: one entry each, shared chunks, dependencies included. The build is moved into place at the
// end, so that interrupted or concurrent builds never leave an incomplete result.
import { existsSync } from 'node:fs'
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'
import { rolldown } from 'rolldown'
import { isolatedDeclarationSync } from 'rolldown/experimental'
import { fingerprint } from './fingerprint.mjs'
import { assertPermissive, packagesOf } from './notices.mjs'
import { programs } from './programs.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const dist = join(root, 'dist')
const quickJs = 'node_modules/@jitl/quickjs-wasmfile-release-sync/dist/emscripten-module.wasm'
const guardScript = 'src/orchestrator/supervisor/guard/ponix-guard.sh'

/** Returns the entries: built file → source. A missing source fails the build. */
async function entries() {
  const mains = Object.values(programs).map((name) => [
    name,
    name === 'cli' ? 'src/orchestrator/cli/main.ts' : `services/${name}/main.ts`,
  ])
  mains.push(['guard', 'src/orchestrator/supervisor/guard/main.ts'], ['index', 'src/index.ts'])
  mains.push(['grep-worker', 'src/orchestrator/control/logs/grep-worker.ts'])
  const services = await readdir(join(root, 'services'))
  const workers = services.map((service) => [`${service}-worker`, `services/${service}/worker.ts`])
  const existing = workers.filter(([, source]) => existsSync(join(root, source)))
  return Object.fromEntries([...mains, ...existing].map(([name, source]) => [name, join(root, source)]))
}

/** Writes programs without extension, for the PATH of the orchestrator's children. */
async function writePrograms(folder) {
  await mkdir(join(folder, 'bin'))
  for (const [program, name] of Object.entries(programs)) {
    const path = join(folder, 'bin', program)
    await writeFile(path, `#!/usr/bin/env node\nimport('../${name}.js')\n`)
    await chmod(path, 0o755)
  }
}

/** The parts of the supervisor that load one after the other: chunk → the module that needs the part, with all its static imports. */
const parts = Object.entries({
  start: 'src/orchestrator/cli/main.ts',
  client: 'src/orchestrator/cli/remote/control-commands.ts',
  run: 'src/orchestrator/cli/run/run.ts',
})

/**
 * Returns the chunk of a module that several entries share: one for each part, because loading a module costs a command about a
 * millisecond. Every other module stays in the chunk that the bundler chooses.
 */
function partOf(id, graph) {
  if (!id.startsWith(join(root, 'src', 'orchestrator'))) return null
  return parts.find(([, main]) => importsOf(join(root, main), graph).has(id))?.[0] ?? null
}

const knownImports = new Map()

/** Returns the module and everything that it imports statically. */
function importsOf(main, graph) {
  const known = knownImports.get(main)
  if (known !== undefined) return known
  const found = new Set([main])
  for (const id of found) for (const imported of graph.getModuleInfo(id)?.importedIds ?? []) found.add(imported)
  knownImports.set(main, found)
  return found
}

async function bundle(input, folder) {
  const build = await rolldown({
    input,
    cwd: root,
    platform: 'node',
    // An optional package of pg, which is not installed, and the native package for "tty".
    external: ['pg-native', /^@lydell\//],
    tsconfig: join(root, 'tsconfig.json'),
    // Required by `includeDependenciesRecursively: false`; an entry keeps its exports.
    preserveEntrySignatures: 'allow-extension',
    // A table of human-signals that execa does not use, but whose loops the optimizing compiler of V8 would compile at each start.
    treeshake: { manualPureFunctions: ['getSignalsByNumber'] },
    logLevel: 'warn',
    onLog(level, log, forward) {
      if (log.id?.includes('node_modules') || log.code === 'EVAL') return
      forward(level, log)
    },
  })
  // One flat folder, so that `new URL('./x-worker.js', import.meta.url)` is the same file in an entry and in a chunk.
  const { output } = await build.write({
    dir: folder,
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: 'chunk-[name]-[hash].js',
    codeSplitting: {
      groups: [{ name: partOf, debugName: 'parts', minShareCount: 2, includeDependenciesRecursively: false }],
    },
    // For debugging in a clone; the package leaves them out.
    sourcemap: true,
    // Node keeps the text of each module in memory, with two bytes per character if one of them is not Latin-1.
    comments: { jsdoc: false },
    minify: {
      compress: false,
      mangle: false,
      codegen: { removeWhitespace: false, asciiOnly: true, legalComments: 'inline' },
    },
  })
  await build.close()
  const modules = output.flatMap((file) => (file.type === 'chunk' ? file.moduleIds : []))
  const packages = packagesOf([...modules, join(root, quickJs)])
  assertPermissive(packages)
  await writeFile(join(folder, 'packages.json'), `${JSON.stringify(packages, null, 2)}\n`)
}

/** Writes the types of `import { defineConfig } from 'ponix-orchestrator'`; src/index.ts imports nothing. */
async function writeDeclarations(folder) {
  const { code, errors } = isolatedDeclarationSync('index.ts', await readFile(join(root, 'src/index.ts'), 'utf8'))
  if (errors.length > 0) throw new Error(errors[0].message)
  await writeFile(join(folder, 'index.d.ts'), code)
}

/**
 * Replaces dist/. A rename cannot replace a folder that is not empty, so the old folder is renamed first; if a concurrent build
 * moves its result there in between, the next round replaces that result.
 */
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

/** Removes the folders of builds that were killed. */
async function removeAbandoned(scratch) {
  for (const name of await readdir(scratch)) {
    const pid = /^build-(\d+)-/.exec(name)?.[1]
    if (pid !== undefined && !isRunning(Number(pid))) await rm(join(scratch, name), { recursive: true, force: true })
  }
}

function isRunning(pid) {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error.code === 'EPERM'
  }
}

// Computed before the sources are read, so that a change during the build makes the next set-up build again.
const sources = fingerprint(root)
const input = await entries()
const scratch = join(root, '.ponix')
await mkdir(scratch, { recursive: true })
await removeAbandoned(scratch)
const folder = await mkdtemp(join(scratch, `build-${process.pid}-`))
try {
  await bundle(input, folder)
  await writePrograms(folder)
  await copyFile(join(root, guardScript), join(folder, basename(guardScript)))
  await copyFile(join(root, quickJs), join(folder, 'quickjs.wasm'))
  await writeDeclarations(folder)
  await writeFile(join(folder, 'sources'), sources)
  await chmod(folder, 0o755)
  await moveIntoPlace(folder)
} catch (error) {
  // The message contains the place in the sources; the stack contains only the bundler.
  console.error(process.stderr.isTTY ? error.message : stripVTControlCharacters(error.message))
  process.exitCode = 1
} finally {
  await rm(folder, { recursive: true, force: true })
}
