import { load } from './config.ts'
import { projectFolder } from './project-folder.ts'
import { draftFromCompose } from '../../../src/orchestrator/cli/init/compose/compose.ts'
import type { Draft } from '../../../src/orchestrator/cli/init/draft.ts'
import { renderFile } from '../../../src/orchestrator/cli/init/render.ts'

type Texts = Readonly<Record<string, string>>

/** Reads a Compose file of a project with these files, in a shell with these variables. */
export function readCompose(text: string, files: Texts = {}, shell: Texts = {}): Promise<Draft> {
  return draftFromCompose(text, 'compose.yaml', projectFolder(files), shell)
}

/** Returns the processes, after the check that the rendered file is valid with these variables. */
export function processesOf(draft: Draft, environment: Texts = {}): Readonly<Record<string, unknown>> {
  load(renderFile(draft, { source: 'a test' }), { environment: { PATH: '/usr/bin', ...environment } })
  return Object.fromEntries(draft.processes)
}

/** Reads a service with a command and these keys. */
export async function readService(keys: string, files: Texts = {}) {
  const draft = await readCompose(`services:\n  a: { build: ., command: x, ${keys} }\n`, files)
  return { process: Object.fromEntries(Object.entries(processesOf(draft)['a'] ?? {})), notes: draft.notes }
}
