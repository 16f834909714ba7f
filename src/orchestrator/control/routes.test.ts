import { join } from 'node:path'
import { expect, test } from 'vitest'
import { withGeneratedSection, markdownTable } from '../../../test/rig/documents/generated-section.ts'
import { projectRoot } from '../../../test/rig/program.ts'
import { routes } from './routes.ts'

test('the table of requests in docs/control.md is generated from the routes (-u writes it)', async () => {
  const rows = routes.map(({ method, path, parameters = '', action, answer }) => [
    `\`${method} ${path}\``,
    parameters,
    action,
    answer,
  ])
  const table = markdownTable([['request', 'parameters', 'what it does', 'answer'], ...rows])
  const path = join(projectRoot, 'docs/control.md')
  await expect(await withGeneratedSection(path, 'routes', table)).toMatchFileSnapshot(path)
})
