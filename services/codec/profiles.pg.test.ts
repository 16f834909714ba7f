import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { folderOfPage, shownCommands } from '../../test/rig/documents/codec-page.ts'
import { apiForAll } from '../../test/rig/services/api.ts'
import { CodecFolder } from '../../test/rig/services/codec-folder.ts'
import { freePort } from '../../test/rig/servers.ts'

const rig = apiForAll()

const CODEC = '{"t": double(int16be(input, 0)) / 10.0, "port": f_port}\n'
const EXAMPLES = [
  {
    type: 'uplink',
    description: 'cold',
    input: { bytes: [255, 225], fPort: 2, fCnt: 7, metadata: { rssi: -95 }, recvTime: '2026-01-02T03:04:05.000000Z' },
    output: { data: { t: -3.1, port: 2 } },
  },
  { type: 'uplink', description: 'short', input: { bytes: [] }, output: { errors: ['bytes 0 to 1 were requested'] } },
]

function folderOf(source = CODEC): CodecFolder {
  return new CodecFolder({ 'codec.cel': source, 'examples.json': JSON.stringify(EXAMPLES) })
}

/** Pushes `codec.cel` of a folder as JSON. */
async function push(folder: CodecFolder, ...args: readonly string[]) {
  const { code, stdout, stderr } = await folder.run('push', 'codec.cel', '--api', rig.api.address, '--json', ...args)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout)
}

describe('P-13: ponix-codec push and pull', () => {
  it('push creates a profile, updates what changed, and changes nothing the next time', async () => {
    const organization = await rig.newOrganization()
    const [owner, folder] = [['--name', 'Sensor', '--organization', organization], folderOf()]
    const created = await push(folder, ...owner)
    expect(created).toEqual({
      profile_id: expect.any(String),
      organization_id: organization,
      name: 'Sensor',
      result: 'created',
      changed: ['codec', 'samples'],
    })
    expect(await push(folder, ...owner)).toEqual({ ...created, result: 'unchanged', changed: [] })
    folder.write('codec.cel', `${CODEC}// changed\n`)
    expect(await push(folder, ...owner)).toEqual({ ...created, result: 'updated', changed: ['codec'] })
    folder.write('examples.json', JSON.stringify(EXAMPLES.slice(1)))
    expect(await push(folder, ...owner)).toEqual({ ...created, result: 'updated', changed: ['samples'] })
    expect(await push(folder, '--name', 'Sensor')).toMatchObject({ organization_id: '', result: 'created' })
  })

  it('pull writes the codec and its samples, which pass their test and are unchanged when they are pushed', async () => {
    const organization = await rig.newOrganization()
    const owner = ['--name', 'Sensor', '--organization', organization]
    const { profile_id: id } = await push(folderOf(), ...owner)
    const copy = new CodecFolder()
    const pulled = await copy.run('pull', ...owner, '--api', rig.api.address, '--output', 'a/b')
    const stdout = `wrote a/b/codec.cel and a/b/examples.json from profile ${id} "Sensor"\n`
    expect(pulled).toEqual({ code: 0, stderr: '', stdout })
    expect(readFileSync(join(copy.path, 'a/b/codec.cel'), 'utf8')).toBe(CODEC)
    expect(JSON.parse(readFileSync(join(copy.path, 'a/b/examples.json'), 'utf8'))).toEqual(EXAMPLES)
    expect(await copy.run('test', '.')).toMatchObject({ code: 0 })
    const again = await copy.run('push', 'a/b/codec.cel', ...owner, '--api', rig.api.address)
    expect(again.stdout).toBe(`unchanged profile ${id} "Sensor"; it has 2 samples\n`)
    expect(await copy.run('pull', '--id', id, '--api', rig.api.address, '--json')).toMatchObject({ code: 0 })
    expect(readFileSync(join(copy.path, 'codec.cel'), 'utf8')).toBe(CODEC)
  })

  it('push and pull work as docs/decoders.md shows', async () => {
    const folder = folderOfPage()
    for (const args of shownCommands.filter(([command]) => command === 'push' || command === 'pull')) {
      const words = args.map((word) => (word === '127.0.0.1:50051' ? rig.api.address : word))
      expect(await folder.run(...words)).toMatchObject({ code: 0, stderr: '' })
    }
    expect(await folder.run('test', 'profiles')).toMatchObject({ code: 0 })
  })

  it('reports in one line what the api rejects, a profile that does not exist, and an api that does not answer', async () => {
    const { address } = rig.api
    const folder = folderOf('{"t": int(input)}')
    const rejected = await folder.run('push', 'codec.cel', '--name', 'Bad', '--api', address)
    const reason = `ponix-codec: the api at ${address}: codec.source, line 1, column `
    expect(rejected).toEqual({ code: 1, stdout: '', stderr: expect.stringContaining(reason) })
    const missing = await folder.run('pull', '--name', 'None', '--api', address)
    const none = `ponix-codec: the api at ${address}: no shared profile has the name "None"\n`
    expect(missing).toEqual({ code: 1, stdout: '', stderr: none })
    const closed = `127.0.0.1:${await freePort()}`
    const unanswered = await folder.run('push', 'codec.cel', '--name', 'A', '--api', closed)
    const lines = expect.stringMatching(new RegExp(`^ponix-codec: the api at ${closed}: .*ECONNREFUSED.*\n$`))
    expect(unanswered).toEqual({ code: 1, stdout: '', stderr: lines })
  })
})

describe('P-13: ponix-codec push and pull reject with exit code 2', () => {
  it.each([
    [['push', 'codec.cel'], "required option '--name <name>' not specified"],
    [['push', 'none.cel', '--name', 'A'], 'none.cel: does not exist'],
    [['pull'], 'expected the profile with --id or --name'],
    [['pull', '--id', 'a', '--name', 'b'], "option '--id <id>' cannot be used with option '--name <name>'"],
  ])('%j', async (args, message) => {
    const outcome = await folderOf().run(...args)
    expect(outcome).toEqual({ code: 2, stdout: '', stderr: `ponix-codec: ${message}\n` })
  })
})
