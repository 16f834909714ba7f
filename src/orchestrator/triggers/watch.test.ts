import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openRig } from '../../../test/rig/orchestrator/supervised-graph.ts'
import { emptyFolder } from '../../../test/rig/empty-folder.ts'
import { trigger, watchOf } from '../../../test/rig/orchestrator/triggered-graph.ts'
import { describeWatchError } from './watch.ts'

/** Writes a file below a folder; missing folders are created. */
function write(folder: string, path: string, text = 'changed'): void {
  mkdirSync(join(folder, path, '..'), { recursive: true })
  writeFileSync(join(folder, path), text)
}

/** Starts the process `web`, which watches paths of a folder that contains `src/app.js`. */
async function watchingWeb(paths: readonly string[], over: Parameters<typeof watchOf>[2] = {}) {
  const folder = emptyFolder()
  write(folder, 'src/app.js', 'first')
  const rig = await openRig()
  const graph = trigger([{ name: 'web', ...rig.program('web'), watch: watchOf(folder, paths, over) }])
  const first = await rig.nextStart('web')
  await graph.next('watching', 'web')
  return { folder, rig, graph, first }
}

describe('a process that watches', () => {
  test('restarts when a file changes, and names the file', async () => {
    const { folder, rig, graph, first } = await watchingWeb(['src'])
    write(folder, 'src/app.js')
    expect(await graph.next('process_restarting', 'web')).toMatchObject({ because: 'src/app.js has changed' })
    await first.gone
    const second = await rig.nextStart('web')
    expect(rig.running).toEqual([second])
    expect(graph.events.map(({ type }) => type)).not.toContain('restart_scheduled')
  })

  test('is not watched while it is left out, until it is started', async () => {
    const folder = emptyFolder()
    write(folder, 'src/app.js', 'first')
    const rig = await openRig()
    const watch = watchOf(folder, ['src'])
    const graph = trigger([
      { name: 'web', ...rig.program('web'), watch, leftOut: 'was left out by --only' },
      { name: 'api', ...rig.program('api'), watch },
    ])
    await graph.next('watching', 'api')
    const started = graph.supervisor.commands.start(['web'])
    await rig.nextStart('web')
    await started
    await graph.next('watching', 'web')
    const order = graph.events.flatMap((event) =>
      event.type === 'watching' || event.type === 'process_started' ? [`${event.type} ${event.process}`] : [],
    )
    expect(order.filter((text) => text.endsWith('web'))).toEqual(['process_started web', 'watching web'])
    write(folder, 'src/app.js')
    await graph.next('process_restarting', 'web')
    await rig.nextStart('web')
  })

  test('restarts once when many files change, also in a new folder', async () => {
    const { folder, rig, graph } = await watchingWeb(['src'], { debounceMs: 300 })
    for (let number = 0; number < 100; number++) write(folder, `src/new/${number}.js`)
    const { because } = await graph.next('process_restarting', 'web')
    expect(because).toMatch(/^src\/new\/\d+\.js and 99 other files have changed$/)
    await rig.nextStart('web')
    write(folder, 'src/new/0.js', 'again')
    expect(await graph.next('process_restarting', 'web')).toMatchObject({ because: 'src/new/0.js has changed' })
    await rig.nextStart('web')
    expect(rig.starts('web')).toBe(3)
  })

  test('restarts once more for a change after its restart has begun a new child', async () => {
    const { folder, rig, graph, first } = await watchingWeb(['src'])
    await first.keep('SIGTERM')
    write(folder, 'src/app.js')
    expect(await first.nextSignal()).toBe('SIGTERM')
    write(folder, 'src/app.js', 'while it stops')
    await first.exit(0)
    const second = await rig.nextStart('web')
    write(folder, 'src/app.js', 'after the start')
    await second.gone
    await rig.nextStart('web')
    expect(graph.eventSequence('process_restarting').length).toBeGreaterThanOrEqual(2)
  })

  test.each([
    [
      'is replaced by a rename',
      (folder: string) => {
        write(folder, 'src/.app.js.swp')
        renameSync(join(folder, 'src/.app.js.swp'), join(folder, 'src/app.js'))
      },
    ],
    ['is removed', (folder: string) => rmSync(join(folder, 'src/app.js'))],
    ['is added', (folder: string) => write(folder, 'src/other.js')],
  ])('restarts when a file %s', async (_, change) => {
    const { folder, rig } = await watchingWeb(['src'])
    change(folder)
    await rig.nextStart('web')
    expect(rig.starts('web')).toBe(2)
  })

  test('watches a folder that is created later, and again after it was removed', async () => {
    const { folder, rig, graph } = await watchingWeb(['later/deep'])
    write(folder, 'later/deep/a.js')
    await rig.nextStart('web')
    await graph.next('process_restarting', 'web')
    rmSync(join(folder, 'later'), { recursive: true })
    await graph.next('process_restarting', 'web')
    await rig.nextStart('web')
    write(folder, 'later/deep/b.js')
    expect(await graph.next('process_restarting', 'web')).toMatchObject({ because: 'later/deep/b.js has changed' })
    await rig.nextStart('web')
  })

  test('follows symbolic links, but not in a circle', async () => {
    const target = emptyFolder()
    write(target, 'lib.js')
    const folder = emptyFolder()
    mkdirSync(join(folder, 'src'))
    symlinkSync(target, join(folder, 'src/linked'))
    symlinkSync(join(folder, 'src'), join(folder, 'src/loop'))
    mkdirSync(join(folder, 'src/a'))
    mkdirSync(join(folder, 'src/b'))
    symlinkSync(join(folder, 'src/b'), join(folder, 'src/a/b'))
    symlinkSync(join(folder, 'src/a'), join(folder, 'src/b/a'))
    const rig = await openRig()
    const graph = trigger([{ name: 'web', ...rig.program('web'), watch: watchOf(folder, ['src']) }])
    await rig.nextStart('web')
    await graph.next('watching', 'web')
    write(target, 'lib.js', 'again')
    expect(await graph.next('process_restarting', 'web')).toMatchObject({ because: 'src/linked/lib.js has changed' })
    await rig.nextStart('web')
  })

  test('does not restart for a file that its rules exclude', async () => {
    const { folder, rig, graph } = await watchingWeb(['src/**/*.js'], { ignore: ['*.test.js'] })
    write(folder, 'src/app.test.js')
    write(folder, 'src/style.css')
    write(folder, 'package.json')
    write(folder, 'src/last.js')
    expect(await graph.next('process_restarting', 'web')).toMatchObject({ because: 'src/last.js has changed' })
    await rig.nextStart('web')
    expect(rig.starts('web')).toBe(2)
  })

  test('starts immediately when a file changes while it waits for its next attempt', async () => {
    const folder = emptyFolder()
    write(folder, 'app.js')
    const rig = await openRig()
    const restart = { backoffMs: 3_600_000, maxBackoffMs: 3_600_000 }
    const graph = trigger([{ name: 'web', ...rig.program('web'), restart, watch: watchOf(folder, ['.']) }])
    await graph.next('watching', 'web')
    await (await rig.nextStart('web')).exit(1)
    await graph.next('restart_scheduled', 'web')
    write(folder, 'app.js', 'corrected')
    await rig.nextStart('web')
    expect(await graph.stop()).toEqual({ exitCode: 0 })
  })

  test('starts again after it has failed permanently, and keeps the orchestrator running until then', async () => {
    const folder = emptyFolder()
    write(folder, 'app.js')
    const rig = await openRig()
    const restart = { policy: 'never' as const }
    const graph = trigger([{ name: 'web', ...rig.program('web'), restart, watch: watchOf(folder, ['.']) }])
    await graph.next('watching', 'web')
    await (await rig.nextStart('web')).exit(1)
    await graph.next('process_failed', 'web')
    write(folder, 'app.js', 'corrected')
    await rig.nextStart('web')
    expect(graph.supervisor.graph.get('web')?.state.type).toBe('running')
  })

  test('stays down when it was stopped manually', async () => {
    const folder = emptyFolder()
    write(folder, 'app.js')
    const rig = await openRig()
    const watch = watchOf(folder, ['.'])
    const graph = trigger([
      { name: 'web', ...rig.program('web'), watch },
      { name: 'other', ...rig.program('other'), watch },
    ])
    await Promise.all([graph.next('watching', 'web'), graph.next('watching', 'other')])
    await Promise.all([rig.nextStart('web'), rig.nextStart('other')])
    await graph.supervisor.commands.stop(['web'])
    write(folder, 'app.js', 'changed')
    await rig.nextStart('other')
    expect(rig.starts('web')).toBe(1)
  })

  test('takes its followers along', async () => {
    const folder = emptyFolder()
    write(folder, 'app.js')
    const rig = await openRig()
    const graph = trigger([
      { name: 'web', ...rig.program('web'), watch: watchOf(folder, ['.']) },
      {
        name: 'proxy',
        ...rig.program('proxy'),
        dependsOn: [{ name: 'web', condition: 'started' }],
        onDependencyRestart: 'restart',
      },
    ])
    await graph.next('watching', 'web')
    const [web, proxy] = [await rig.nextStart('web'), await rig.nextStart('proxy')]
    await web.keep('SIGTERM')
    write(folder, 'app.js', 'changed')
    await proxy.gone
    expect(await web.nextSignal()).toBe('SIGTERM')
    await web.exit(0)
    await rig.nextStart('web')
    await rig.nextStart('proxy')
  })
})

describe('a task that watches', () => {
  test('runs again when a file changes, and keeps the orchestrator running between its runs', async () => {
    const folder = emptyFolder()
    write(folder, 'a.ts')
    const rig = await openRig()
    const graph = trigger([{ name: 'build', kind: 'task', ...rig.program('build'), watch: watchOf(folder, ['.']) }])
    await graph.next('watching', 'build')
    await (await rig.nextStart('build')).exit(0)
    await graph.next('process_completed', 'build')
    write(folder, 'a.ts', 'second')
    await (await rig.nextStart('build')).exit(1)
    await graph.next('process_failed', 'build')
    write(folder, 'a.ts', 'third')
    await (await rig.nextStart('build')).exit(0)
    await graph.next('process_completed', 'build')
    expect(await graph.stop()).toEqual({ exitCode: 0 })
  })
})

test.each([
  ['ENOSPC', /limit of file watches is reached \(ENOSPC\).*fs\.inotify\.max_user_watches/],
  ['EMFILE', /\(EMFILE\).*max_user_instances/],
  ['EACCES', /^EACCES: no$/],
])('the error %s is described with its remedy', (code, message) => {
  expect(describeWatchError(Object.assign(new Error(`${code}: no`), { code }))).toMatch(message)
})
