import { existsSync, readFileSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))
const documents = execFileSync('git', ['ls-files', '*.md'], { cwd: root, encoding: 'utf8' }).trim().split('\n')

/** Paths of this repository that a document names: in backticks from the root, and as relative links. */
function pathsIn(document: string): readonly string[] {
  const text = readFileSync(join(root, document), 'utf8').replaceAll(/^```[\s\S]*?^```/gm, '')
  const quoted = [
    ...text.matchAll(/`((?:src|services|test|scripts|docs|bench|bin|deploy|proto|migrations)\/[\w./-]+)`/g),
  ]
  const links = [...text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)]
  return [...quoted.map(([, path = '']) => path), ...links.map(([, path = '']) => join(dirname(document), path))]
}

/** Links to headings of this or another document, as `path#anchor`. */
function anchorsIn(document: string): readonly string[] {
  const text = readFileSync(join(root, document), 'utf8')
  return [...text.matchAll(/\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)/g)].map(
    ([, path = '', anchor = '']) => `${path === '' ? document : join(dirname(document), path)}#${anchor}`,
  )
}

/** Returns the anchors of a document's headings, as GitHub makes them. */
function headingsOf(document: string): readonly string[] {
  const text = readFileSync(join(root, document), 'utf8').replaceAll(/^```[\s\S]*?^```/gm, '')
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

describe('documents', () => {
  it.each(documents)('%s links only to headings that exist', (document) => {
    const dead = anchorsIn(document).filter((link) => {
      const [path = '', anchor = ''] = link.split('#')
      return path.endsWith('.md') && !headingsOf(path).includes(anchor)
    })
    expect(dead).toEqual([])
  })

  it.each(documents)('%s names only paths that exist', (document) => {
    expect(pathsIn(document).filter((path) => !existsSync(join(root, path)))).toEqual([])
  })
})
