import { describe, expect, it } from 'vitest'
import { folderOfPage, shownCommands, shownReport, shownSamples } from '../../test/rig/documents/codec-page.ts'

/** profiles.pg.test.ts runs the others, which need the api. */
const commands = shownCommands.filter(([command]) => command === 'run' || command === 'test')

describe('P-13: docs/decoders.md, "Codecs as files"', () => {
  it('shows every command', () => {
    expect(new Set(shownCommands.map(([command]) => command))).toEqual(new Set(['run', 'test', 'push', 'pull']))
  })

  it.each(commands.map((args) => [args.join(' '), args]))('ponix-codec %s succeeds', async (_line, args) => {
    expect(await folderOfPage().run(...args)).toMatchObject({ code: 0, stderr: '' })
  })

  it('shows the report of a failed sample', async () => {
    const { code, stdout } = await folderOfPage(shownSamples.replace('-3.1', '-3.2')).run('test', '.')
    expect({ code, stdout }).toEqual({ code: 1, stdout: shownReport })
  })
})
