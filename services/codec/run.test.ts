import { describe, expect, it } from 'vitest'
import { CodecFolder } from '../../test/rig/services/codec-folder.ts'

const CODEC = `{
  "temperature": double(int16be(input, 0)) / 10.0,
  "port": f_port,
  "at": received_at
}`
const TIME = ['--received-at', '2026-01-02T03:04:05Z']

describe('P-13: ponix-codec run', () => {
  it('prints the readings of a payload in hexadecimal digits or base64', async () => {
    const folder = new CodecFolder({ 'a.cel': CODEC })
    const expected = { temperature: -3.1, port: 2, at: '2026-01-02T03:04:05Z' }
    for (const payload of ['--hex=FFE1', '--hex=0xff e1', '--base64=/+E=', '--base64=/+E']) {
      const { code, stdout, stderr } = await folder.run('run', 'a.cel', payload, '--port', '2', ...TIME)
      expect({ code, stderr, data: JSON.parse(stdout) }).toEqual({ code: 0, stderr: '', data: expected })
      expect(stdout.split('\n')).toHaveLength(6)
    }
  })

  it('prints JSON on one line with --json', async () => {
    const folder = new CodecFolder({ 'a.cel': '{"n": size(input)}' })
    const { code, stdout } = await folder.run('run', 'a.cel', '--hex', '', ...TIME, '--json')
    expect(code).toBe(0)
    expect(stdout).toBe('{"readings":[{"time":"2026-01-02T03:04:05.000000Z","data":{"n":0}}],"warnings":[]}\n')
    const failed = await folder.run('run', 'cayenne_lpp', '--hex', '01', '--json')
    expect(failed).toMatchObject({ code: 1, stdout: expect.stringMatching(/^\{"error":".*byte.*"\}\n$/) })
  })

  it('prints the time of each of several readings', async () => {
    const folder = new CodecFolder({ 'a.cel': '[{"age_s": 60, "data": {"n": 1}}, {"data": {"n": 2}}]' })
    const readings = [
      { time: '2026-01-02T03:03:05.000000Z', data: { n: 1 } },
      { time: '2026-01-02T03:04:05.000000Z', data: { n: 2 } },
    ]
    const args = ['run', 'a.cel', '--hex', '00', ...TIME]
    const { code, stdout } = await folder.run(...args)
    expect({ code, data: JSON.parse(stdout) }).toEqual({ code: 0, data: readings })
    expect(JSON.parse((await folder.run(...args, '--json')).stdout)).toEqual({ readings, warnings: [] })
  })

  it('runs the codec cayenne_lpp without a file', async () => {
    const { code, stdout } = await new CodecFolder().run('run', 'cayenne_lpp', '--hex', '006700FF')
    expect({ code, data: JSON.parse(stdout) }).toEqual({ code: 0, data: { temperature_0: 25.5 } })
  })

  it.each([
    [
      'the failure of the codec',
      CODEC,
      1,
      /^ponix-codec: a\.cel: line 2, column 25: int16be: bytes 0 to 1 were requested.*\n$/,
    ],
    ['a list that is not of readings', '[{"t": 1}]', 1, /^ponix-codec: a\.cel: reading 0: unknown key "t".*\n$/],
    ['a syntax error', '{"a": }', 1, /^ponix-codec: a\.cel: line 1, column 7: .*\n$/],
    [
      'a source that is too long',
      `// ${'x'.repeat(5000)}`,
      2,
      /^ponix-codec: a\.cel: the expression has 5003 bytes.*\n$/,
    ],
    ['a loop beyond the time limit', endless(), 1, /^ponix-codec: a\.cel: .*exceeded its time limit of 250 ms.*\n$/],
  ])('reports %s in one line', async (_title, source, code, line) => {
    const outcome = await new CodecFolder({ 'a.cel': source }).run('run', 'a.cel', '--hex', '00')
    expect(outcome).toEqual({ code, stdout: '', stderr: expect.stringMatching(line) })
  })

  it.each([
    [['a.cel'], 'expected the payload with --hex or --base64'],
    [['a.cel', '--hex', '0'], "option '--hex <bytes>' argument '0' is invalid"],
    [['a.cel', '--base64', '!'], "option '--base64 <text>' argument '!' is invalid"],
    [
      ['a.cel', '--hex', '00', '--base64', 'AA=='],
      "option '--base64 <text>' cannot be used with option '--hex <bytes>'",
    ],
    [['a.cel', '--hex', '00', '--port', '256'], "option '--port <number>' argument '256' is invalid"],
    [['a.cel', '--hex', '00', '--received-at', 'now'], "option '--received-at <time>' argument 'now' is invalid"],
    [['b.cel', '--hex', '00'], 'b.cel: does not exist'],
    [['a.txt', '--hex', '00'], 'a.txt: expected a .cel or .js file, or cayenne_lpp'],
    [['folder.cel', '--hex', '00'], 'folder.cel: is a folder; expected a file'],
  ])('rejects %j with one line and exit code 2', async (args, message) => {
    const folder = new CodecFolder({ 'a.cel': CODEC, 'a.txt': '', 'folder.cel/a': '' })
    const { code, stdout, stderr } = await folder.run('run', ...args)
    expect({ code, stdout, lines: stderr.split('\n').length }).toEqual({ code: 2, stdout: '', lines: 2 })
    expect(stderr).toContain(`ponix-codec: ${message}`)
  })
})

/** Returns an expression that runs for many seconds. */
function endless(): string {
  const numbers = `[${Array.from({ length: 400 }, () => '0').join(',')}]`
  return `{"n": ${numbers}.all(a, ${numbers}.all(b, ${numbers} == ${numbers}))}`
}
