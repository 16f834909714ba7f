import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))

/** A file of a room, and an import that breaks the law. */
const breaches: readonly (readonly [file: string, source: string])[] = [
  ...[
    '../cli/x.ts',
    '../control/x.ts',
    '../export/x.ts',
    '../../runner/x.ts',
    '../../domain/x.ts',
    '../../nats/x.ts',
    '../../../services/api/x.ts',
    '../../../test/rig/x.ts',
  ].map((path) => ['src/orchestrator/supervisor/a.ts', `import { x } from '${path}'`] as const),
  ['src/orchestrator/supervisor/probes/a.ts', `import { x } from '../../../runner/x.ts'`],
  ['src/orchestrator/supervisor/a.ts', `import { x } from '.././../runner/x.ts'`],
  ['src/orchestrator/supervisor/a.ts', `import { Client } from 'pg'`],
  ['src/orchestrator/cli/a.ts', `import { x } from '../../runner/x.ts'`],
  ['src/orchestrator/cli/a.ts', `import { x } from '../../domain/x.ts'`],
  ['src/orchestrator/config/a.ts', `import { x } from '../supervisor/x.ts'`],
  ['src/orchestrator/control/a.ts', `import { x } from '../cli/x.ts'`],
  ['src/orchestrator/control/a.ts', `import { x } from '../export/x.ts'`],
  ['src/orchestrator/export/a.ts', `import { x } from '../control/x.ts'`],
  ['src/orchestrator/triggers/a.ts', `import { x } from '../cli/x.ts'`],
  ['src/orchestrator/triggers/a.ts', `import { x } from '../control/x.ts'`],
  ['src/orchestrator/supervisor/a.ts', `import { x } from '../triggers/x.ts'`],
  ['src/domain/a.ts', `import { x } from '../orchestrator/supervisor/x.ts'`],
  ['src/domain/a.ts', `import { x } from '../runner/x.ts'`],
  ['src/domain/a.ts', `import { x } from '../postgres/x.ts'`],
  ['src/domain/a.ts', `import { readFile } from 'node:fs'`],
  ['src/domain/a.ts', `import { pino } from 'pino'`],
  ['src/domain/deep/a.ts', `import { x } from '../../proto/x.ts'`],
  ['src/runner/a.ts', `import { x } from '../orchestrator/supervisor/x.ts'`],
  ['src/runner/a.ts', `import { x } from '../postgres/x.ts'`],
  ...['postgres', 'nats', 'clickhouse', 'mqtt', 'codecs', 'proto'].flatMap((room) => [
    [`src/${room}/a.ts`, `import { x } from '../${room === 'nats' ? 'mqtt' : 'nats'}/x.ts'`] as const,
    [`src/${room}/a.ts`, `import { x } from '../orchestrator/supervisor/x.ts'`] as const,
    [`src/${room}/a.ts`, `import { x } from '../../services/api/x.ts'`] as const,
  ]),
  ['src/nats/a.ts', `import { Client } from 'pg'`],
  ['src/postgres/a.ts', `import { connect } from '@nats-io/transport-node'`],
  ['services/api/a.ts', `import { x } from '../../src/orchestrator/supervisor/x.ts'`],
  ['services/api/a.ts', `import { x } from '../../src/orchestrator/cli/x.ts'`],
  ['services/api/a.ts', `import { x } from '../cdc/x.ts'`],
  ['services/api/deep/a.ts', `import { x } from '../../cdc/x.ts'`],
  ['services/api/a.ts', `import { x } from '../../services/cdc/x.ts'`],
  ['services/api/a.ts', `import { x } from '../../scripts/lock.mjs'`],
  ...['pg', 'mqtt', '@clickhouse/client', '@nats-io/jetstream', '@bufbuild/cel', '@bufbuild/cel/strings'].map(
    (driver) => ['services/api/a.ts', `import { x } from '${driver}'`] as const,
  ),
  ['src/orchestrator/supervisor/a.ts', `export { x } from '../../runner/x.ts'`],
  ['src/orchestrator/supervisor/a.ts', `export * from '../../runner/x.ts'`],
  ['src/orchestrator/supervisor/a.ts', `export type { X } from '../../runner/x.ts'`],
  ['src/orchestrator/supervisor/a.ts', `import type { X } from '../../runner/x.ts'`],
  ['src/orchestrator/supervisor/a.ts', `import '../../runner/x.ts'`],
  ['src/orchestrator/supervisor/a.ts', `export const x = await import('../../runner/x.ts')`],
  ['src/orchestrator/supervisor/a.ts', `export type T = import('../../runner/x.ts').X`],
  ['src/orchestrator/supervisor/a.ts', `export const x = require('../../runner/x.ts')`],
  ['services/cdc/a.ts', `export const x = await import('pg')`],
]

const lawful: readonly (readonly [file: string, source: string])[] = [
  ['src/orchestrator/supervisor/a.ts', `import { x } from './state.ts'`],
  ['src/orchestrator/supervisor/probes/a.ts', `import { x } from '../state.ts'`],
  ['src/orchestrator/supervisor/a.ts', `import { execa } from 'execa'`],
  ['src/orchestrator/supervisor/a.test.ts', `import { x } from '../../../test/rig/steerable.ts'`],
  ['src/orchestrator/cli/a.ts', `import { x } from '../supervisor/supervisor.ts'`],
  ['src/orchestrator/cli/a.ts', `import { x } from '../config/load.ts'`],
  ['src/orchestrator/control/a.ts', `import { x } from '../supervisor/supervisor.ts'`],
  ['src/orchestrator/supervisor/a.ts', `import { x } from '../config/resolved.ts'`],
  ['src/domain/a.ts', `import { z } from 'zod'`],
  ['src/domain/deep/a.ts', `import { x } from '../errors.ts'`],
  ['src/domain/a.test.ts', `import { expect } from 'vitest'`],
  ['src/postgres/a.ts', `import { Client } from 'pg'`],
  ['src/postgres/a.ts', `import { x } from '../domain/ports.ts'`],
  ['src/nats/a.ts', `import type { X } from '../runner/logger.ts'`],
  ['src/runner/a.ts', `import { x } from '../domain/errors.ts'`],
  ['services/cdc/a.ts', `import { x } from '../../src/nats/publisher/producer.ts'`],
  ['services/cdc/deep/a.ts', `import { x } from '../b.ts'`],
  ['services/cdc/a.pg.test.ts', `import { Client } from 'pg'`],
  ['services/embedded/a.ts', `import { lock } from '../../scripts/lock.mjs'`],
]

describe('import law', () => {
  let folder = ''
  let flagged: ReadonlySet<string> = new Set()

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ponix-law-'))
    await cp(join(root, '.oxlintrc.json'), join(folder, '.oxlintrc.json'))
    await cp(join(root, 'scripts/import-law.mjs'), join(folder, 'scripts/import-law.mjs'))
    await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
    for (const [index, [file, source]] of [...breaches, ...lawful].entries()) {
      await mkdir(join(folder, dirname(file)), { recursive: true })
      await writeFile(join(folder, planted(index, file)), `${source}\n`)
    }
    flagged = await lint(folder)
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  it.each(breaches.map(([file, source], index) => [file, source, planted(index, file)]))(
    'rejects in %s: %s',
    (_file, _source, path) => {
      expect(flagged).toContain(path)
    },
  )

  it.each(lawful.map(([file, source], index) => [file, source, planted(breaches.length + index, file)]))(
    'accepts in %s: %s',
    (_file, _source, path) => {
      expect(flagged).not.toContain(path)
    },
  )
})

/** One breach per file, so that each is found for its own reason. */
function planted(index: number, file: string): string {
  return join(dirname(file), `plant${index}${file.slice(file.lastIndexOf('/') + 2)}`)
}

/** Returns the files that break the import law according to the configuration of the project. */
async function lint(folder: string): Promise<ReadonlySet<string>> {
  const report = await new Promise<string>((resolve, reject) => {
    execFile(join(root, 'node_modules/.bin/oxlint'), ['--format=json'], { cwd: folder }, (error, stdout) => {
      if (stdout === '') reject(error ?? new Error('oxlint said nothing'))
      else resolve(stdout)
    })
  })
  const { diagnostics } = JSON.parse(report) as { diagnostics: { code: string; filename: string }[] }
  return new Set(diagnostics.filter(({ code }) => code === 'ponix(import-law)').map(({ filename }) => filename))
}
