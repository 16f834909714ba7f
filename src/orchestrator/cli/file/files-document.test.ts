import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { CommandLine } from '../../../../test/rig/orchestrator/command-line.ts'
import { projectRoot } from '../../../../test/rig/program.ts'

const document = readFileSync(join(projectRoot, 'docs/files.md'), 'utf8')
const examples = [...document.matchAll(/^```jsonc\n(\/\/ (\S+)\n[^]*?)^```$/gm)].map(([, text = '', name = '']) => ({
  name,
  text,
}))
const program = new CommandLine()
afterAll(() => program.dispose())

describe('docs/files.md', () => {
  it.each(['base.json', 'ci.json', 'shop.json', 'commonplace.json'])('contains %s, which is valid', async (name) => {
    for (const example of examples) program.writeConfig(example.text, example.name)
    expect(examples.map((example) => example.name)).toContain(name)
    const { code, stderr } = await program.run('validate', '--config', name)
    // The programs of the examples do not exist here.
    const problems = stderr.split('\n').filter((line) => line !== '' && !line.includes(': warning: '))
    expect([code, problems]).toEqual([0, []])
  })

  it('shows what validate prints, and what the merge results in', async () => {
    const { stdout } = await program.run('validate')
    expect(document).toContain(`\`\`\`text\n${stdout.split('\n')[0]}\n\`\`\``)
    expect((await program.run('graph', '--config', 'ci.json')).stdout).not.toContain('mail')
  })
})
