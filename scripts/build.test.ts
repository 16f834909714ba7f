import { cp, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { Program } from '../test/rig/program.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

test('a failed build reports the source file without a stack trace and leaves no files', async () => {
  const clone = await mkdtemp(join(tmpdir(), 'ponix-build-'))
  onTestFinished(() => rm(clone, { recursive: true, force: true }))
  for (const name of ['src', 'services', 'scripts', 'package.json', 'package-lock.json', 'tsconfig.json']) {
    await cp(join(root, name), join(clone, name), { recursive: true })
  }
  await symlink(join(root, 'node_modules'), join(clone, 'node_modules'))
  await writeFile(join(clone, 'services/api/main.ts'), "import { lost } from './lost.ts'\nlost()\n")

  const build = new Program(process.execPath, [join(clone, 'scripts/build.mjs')], { cwd: clone })
  const { code, stderr } = await build.outcome
  expect(code).toBe(1)
  expect(stderr).toContain("Could not resolve './lost.ts' in services/api/main.ts")
  expect(stderr).not.toMatch(/^ +at /m)
  expect(stderr).not.toContain('\u001B')
  expect(await readdir(clone)).not.toContain('dist')
  expect(await readdir(join(clone, '.ponix'))).toEqual([])
})

test('Node keeps the built modules with one byte per character: all characters are Latin-1', async () => {
  const names = await readdir(join(root, 'dist'))
  const modules = names.filter((name) => name.endsWith('.js'))
  expect(modules).toContain('cli.js')
  const texts = await Promise.all(modules.map((name) => readFile(join(root, 'dist', name), 'utf8')))
  expect(modules.filter((_, index) => /[\u0100-\uffff]/.test(texts[index] ?? ''))).toEqual([])
})
