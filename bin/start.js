import { existsSync } from 'node:fs'

/** The part of a launch that requires a current version of Node. */
export async function start(program) {
  if (existsSync(new URL('../src/', import.meta.url))) {
    const { setUp } = await import('../scripts/setup.mjs')
    await setUp()
  }
  const built = new URL(`../dist/${program}.js`, import.meta.url)
  if (!existsSync(built)) {
    console.error(`ponix: ${built.pathname} is missing: the installation is incomplete; install the package again`)
    process.exit(1)
  }
  await import(built.href)
}
