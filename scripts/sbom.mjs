// Writes sbom.cdx.json for the package: its dependencies, and the packages in dist/, which a scanner cannot detect there.
import { spawnSync } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { bundledPackages } from './notices.mjs'
import { setUp } from './setup.mjs'
import { root } from './tools.mjs'

const DEVELOPMENT = 'cdx:npm:package:development'
const PATH = 'cdx:npm:package:path'

await setUp()
const options = { cwd: root, encoding: 'utf8', maxBuffer: Infinity }
const { status, stdout, stderr } = spawnSync('npm', ['sbom', '--sbom-format=cyclonedx', '--package-lock-only'], options)
if (status !== 0) {
  console.error(`npm sbom exited with ${status}:\n${stdout}${stderr}`)
  process.exit(1)
}
const { name } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
await writeFile(join(root, 'sbom.cdx.json'), `${JSON.stringify(shipped(JSON.parse(stdout)), null, 2)}\n`)

/** Returns the document without the packages that only development needs. */
function shipped(bom) {
  const bundled = new Set(bundledPackages(root).map((entry) => `${entry.name}@${entry.version}`))
  const own = bom.metadata.component
  const components = bom.components
    .filter((component) => bundled.has(`${component.name}@${component.version}`) || !isDevelopment(component))
    .map((component) => ({
      ...component,
      scope: 'required',
      properties: component.properties.filter((property) => ![DEVELOPMENT, PATH].includes(property.name)),
    }))
  const references = new Set([own['bom-ref'], ...components.map((component) => component['bom-ref'])])
  const dependencies = bom.dependencies
    .filter(({ ref }) => references.has(ref))
    .map(({ ref, dependsOn = [] }) => ({ ref, dependsOn: dependsOn.filter((other) => references.has(other)) }))
  return { ...bom, metadata: { ...bom.metadata, component: { ...own, name } }, components, dependencies }
}

function isDevelopment({ properties }) {
  return properties.some((property) => property.name === DEVELOPMENT)
}
