import { describe, expect, test } from 'vitest'
import type { ResolvedWatch } from '../config/resolved.ts'
import { describeChanges, displayPath, watchedFiles } from './watched-files.ts'

const folder = '/home/me/app'

function filesOf(paths: readonly string[], ignore: readonly string[] = [], ownFiles: readonly string[] = []) {
  const watch: ResolvedWatch = { folder, paths, ignore, debounceMs: 200 }
  return watchedFiles(watch, ownFiles)
}

describe('a watched path', () => {
  test.each([
    ['src', 'src/app.js', true],
    ['src', 'src', true],
    ['src/', 'src/deep/er/app.js', true],
    ['./src', 'src/app.js', true],
    ['src', 'other/src/app.js', false],
    ['src', 'src2/app.js', false],
    ['src', 'package.json', false],
    ['package.json', 'package.json', true],
    ['/home/me/app/src', 'src/app.js', true],
    ['/etc/app', '/etc/app/a.conf', true],
    ['../shared', '../shared/a.js', true],
    ['.', 'a.js', true],
    ['.', '../a.js', false],
    ['*.json', 'a.json', true],
    ['*.json', 'config/a.json', false],
    ['**/*.json', 'config/deep/a.json', true],
    ['config/*.json', 'config/a.json', true],
    ['config/*.json', 'config/A.JSON', false],
    ['src/**/*.ts', 'src/a.ts', true],
    ['src/**/*.ts', 'src/deep/a.ts', true],
    ['src/**/*.ts', 'src/a.css', false],
    ['/etc/*.conf', '/etc/a.conf', true],
    ['src/[ab].js', 'src/b.js', true],
    ['src/[ab].js', 'src/c.js', false],
    ['src', 'src/node_modules/x/a.js', false],
    ['src', 'src/.git/index', false],
    ['node_modules/x', 'node_modules/x/a.js', true],
  ])('%s covers %s: %s', (path, file, isWatched) => {
    const absolute = file.startsWith('/') ? file : new URL(file, `file://${folder}/`).pathname
    expect(filesOf([path]).isWatched(absolute)).toBe(isWatched)
  })

  test.each([
    ['dist', 'dist/a.js', false],
    ['dist', 'src/dist/a.js', false],
    ['/dist', 'src/dist/a.js', true],
    ['dist/', 'dist/a.js', false],
    ['*.test.js', 'src/a.test.js', false],
    ['src/*.js', 'src/a.js', false],
    ['a.js', 'A.js', true],
  ])('with the rule %s covers %s: %s', (rule, file, isWatched) => {
    expect(filesOf(['.'], [rule]).isWatched(`${folder}/${file}`)).toBe(isWatched)
  })

  test('is included again by a rule with "!"', () => {
    const files = filesOf(['src'], ['*.json', '!keep.json'])
    expect(files.isWatched(`${folder}/src/a.json`)).toBe(false)
    expect(files.isWatched(`${folder}/src/keep.json`)).toBe(true)
  })

  test('outside the folder is matched by rules relative to itself', () => {
    const files = filesOf(['../shared', '..'], ['/dist'])
    expect(files.isWatched('/home/me/shared/dist/a.js')).toBe(true)
    expect(filesOf(['../shared'], ['/dist']).isWatched('/home/me/shared/dist/a.js')).toBe(false)
    expect(filesOf(['..'], ['/dist']).isWatched('/home/me/app')).toBe(true)
  })

  test('never covers a log file of a process or its rotated files', () => {
    const files = filesOf(['.'], [], [`${folder}/web.log`])
    expect(['web.log', 'web.log.1', 'web.log.12'].map((name) => files.isWatched(`${folder}/${name}`))).toEqual([
      false,
      false,
      false,
    ])
    expect(files.isWatched(`${folder}/web.log.js`)).toBe(true)
  })
})

describe('the scan', () => {
  test.each([
    [['src', 'lib/**/*.js'], ['/home/me/app']],
    [['.'], ['/home/me/app']],
    [['..'], ['/home/me']],
    [['../shared/src'], ['/home/me']],
    [['/etc/app/a.conf'], ['/etc/app']],
  ])('for %j begins at %j', (paths, folders) => {
    expect(filesOf(paths).folders).toEqual(folders)
  })

  test.each([
    ['/home/me/app', false],
    ['/home/me/app/src', false],
    ['/home/me/app/src/deep', false],
    ['/home/me/app/src/node_modules', true],
    ['/home/me/app/src/dist', true],
    ['/home/me/app/node_modules', true],
    ['/home/me/app/other', true],
    ['/home/me/other', true],
  ])('skips %s: %s', (path, isPruned) => {
    expect(filesOf(['src'], ['dist']).isPruned(path)).toBe(isPruned)
  })
})

test.each([
  [['a.js'], 'a.js has changed'],
  [['a.js', 'b.js'], 'a.js and 1 other file have changed'],
  [['a.js', 'b.js', 'c.js'], 'a.js and 2 other files have changed'],
])('changes of %j are described as "%s"', (paths, text) => {
  expect(describeChanges(paths)).toBe(text)
})

test('a path inside the folder is shown relative to it', () => {
  expect([displayPath('/home/me/app/src/a.js', folder), displayPath('/etc/a', folder)]).toEqual(['src/a.js', '/etc/a'])
})
