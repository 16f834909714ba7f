// `npm run bench`: lists the benches. `npm run bench NAME [-- options]`: sets up, then runs bench/NAME.ts.
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setUp } from './setup.mjs'
import { root, runTool } from './tools.mjs'

const folder = join(root, 'bench')
const built = join(root, '.ponix', 'bench', 'programs')

/** Name → what it measures: the first line of its source. */
async function benches() {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
  const entries = files.sort().map(async (file) => {
    const [first = ''] = (await readFile(join(folder, file), 'utf8')).split('\n')
    return [file.slice(0, -'.ts'.length), first.replace(/^\/\/ /, '')]
  })
  return new Map(await Promise.all(entries))
}

/** A bench and the programs that it starts, which are the files of `bench/NAME/programs`. */
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
  const list = [...known].map(([bench, what]) => `  npm run bench ${bench}   ${what}`).join('\n')
  if (name === undefined) console.log(list)
  else console.error(`bench: there is no bench ${JSON.stringify(name)}; these are there:\n${list}`)
  process.exitCode = name === undefined ? 0 : 2
} else {
  await setUp()
  await bundle(name)
  const { code } = await runTool(process.execPath, [join(built, `${name}.js`), ...args], { show: true })
  process.exitCode = code ?? 1
}
