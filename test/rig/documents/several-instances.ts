import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { Graph } from '../orchestrator/graph.ts'
import { projectRoot } from '../program.ts'
import { blocksOf, shellWords } from './document-commands.ts'

/** Ports chosen by the system, so that the probe cannot know them. */
const ON_FREE_PORTS = {
  env: { PONIX_GATEWAY_ORCHESTRATOR_HTTP_PORT: '0' },
  readiness_probe: { http_get: null, exec: ['true'] },
}

/** Runs `npx ponix-orchestrator -c FILE` with the file that the section "Several instances" of docs/gateways.md shows. */
export async function startSeveralInstances(command: string, page: string): Promise<void> {
  const [, section = ''] = page.split(/^## Several instances$/m)
  const [shown = ''] = blocksOf('json', { path: 'docs/gateways.md', text: section })
  const name = shellWords(command).at(-1) ?? ''
  expect(section).toContain(`\`${name}\``)
  const folder = await mkdtemp(join(tmpdir(), 'ponix-instances-'))
  await writeFile(join(folder, name), shown.replace('./commonplace.json', join(projectRoot, 'commonplace.json')))
  const file = join(folder, 'free-ports.json')
  await writeFile(file, JSON.stringify({ extends: `./${name}`, processes: { 'gateway-orchestrator': ON_FREE_PORTS } }))
  const graph = await Graph.start({ args: ['-c', file] })
  try {
    for (const number of [1, 2, 3]) {
      await graph.line(new RegExp(`^\\[gateway-orchestrator#${number}\\] .*acquired shards`))
    }
    await graph.line(/^\[orchestrator\] .*all .*ready/)
  } finally {
    await graph[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  }
}
