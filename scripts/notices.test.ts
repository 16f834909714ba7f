import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { projectRoot } from '../test/rig/program.ts'
import { assertPermissive, bundledPackages, isPermissive, packagesOf } from './notices.mjs'

describe('licences of the bundled packages', () => {
  it.each([
    ['MIT', true],
    ['(Apache-2.0 AND BSD-3-Clause)', true],
    ['(GPL-3.0 OR MIT)', true],
    ['MIT AND GPL-3.0', false],
    ['AGPL-3.0-only', false],
    [undefined, false],
  ])('the build accepts %s: %s', (license, accepted) => {
    expect(isPermissive(license)).toBe(accepted)
  })

  it('the build fails for a package with another licence and names both', () => {
    const packages = [{ name: 'copyleft', version: '1.0.0', license: 'GPL-3.0' }]
    expect(() => assertPermissive(packages)).toThrow(/^copyleft 1\.0\.0: the licence "GPL-3\.0" is not on the list/)
  })

  it('packagesOf finds the package of a module, even a nested one, and none for a source', () => {
    const modules = [
      'pg/lib/index.js',
      'npm-run-path/node_modules/path-key/index.js',
      '@grpc/grpc-js/build/src/index.js',
    ]
    const ids = [...modules.map((module) => join(projectRoot, 'node_modules', module)), join(projectRoot, 'src/a.ts')]
    expect(packagesOf(ids).map(({ path }) => path)).toEqual([
      'node_modules/@grpc/grpc-js',
      'node_modules/npm-run-path/node_modules/path-key',
      'node_modules/pg',
    ])
  })

  it('THIRD-PARTY-NOTICES contains all of them', async () => {
    const packages = bundledPackages(projectRoot)
    expect(packages.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['commander', 'pg', 'zod', '@grpc/grpc-js']),
    )
    const notices = await readFile(join(projectRoot, 'THIRD-PARTY-NOTICES'), 'utf8')
    const missing = packages.filter(({ name, version }) => !notices.includes(`\n${name} ${version} (`))
    expect(missing).toEqual([])
  })
})
