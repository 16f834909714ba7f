// `npm run bench`: lists the benches. `npm run bench NAME [-- options]`: sets up, then runs bench/NAME.ts.
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setUp } from './setup.mjs'
import { root, runTool } from './tools.mjs'

const folder = join(root, 'bench')
const built = join(root, '.ponix', 'bench', 'programs')

/** Returns the benches: name → description, the first line of the source. */
async function benches() {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
  const entries = files.sort().map(async (file) => {
    const [first = ''] = (await readFile(join(folder, file), 'utf8')).split('\n')
    return [file.slice(0, -'.ts'.length), first.replace(/^\/\/ /, '')]
  })
  return new Map(await Promise.all(entries))
}

/** Bundles a bench and the programs that it starts, the files of `bench/NAME/programs`. */
async function bundle(name) {
  const { rolldown } = await import('rolldown')
  const programs = (await readdir(join(folder, name, 'programs')).catch(() => [])).map((file) => [
    file.slice(0, -'.ts'.length),
    join(folder, name, 'programs', file),
  ])
  await mkdir(built, { recursive: true })
  const input = Object.fromEntries([[name, join(folder, `${name}.ts`)], ...programs])
  const build = await rolldown({ input, cwd: root, platform: 'node', tsconfig: join(root, 'tsconfig.json') })
  await build.write({ dir: built, format: 'esm', entryFileNames: '[name].js' })
  await build.close()
}

const [name, ...args] = process.argv.slice(2)
const known = await benches()
if (name === undefined || !known.has(name)) {
  const list = [...known].map(([bench, description]) => `  npm run bench ${bench}   ${description}`).join('\n')
  if (name === undefined) console.log(list)
  else console.error(`bench: unknown bench ${JSON.stringify(name)}; the benches are:\n${list}`)
  process.exitCode = name === undefined ? 0 : 2
} else {
  await setUp()
  await bundle(name)
  const { code } = await runTool(process.execPath, [join(built, `${name}.js`), ...args], { show: true })
  process.exitCode = code ?? 1
}
