import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CommandLine } from '../../../../test/rig/orchestrator/command-line.ts'
import type { Outcome } from '../../../../test/rig/program.ts'
import { parseYamlDocuments } from '../../../../test/rig/configuration/export.ts'
import { verifyUnits } from '../../../../test/rig/orchestrator/systemd.ts'

let program: CommandLine
beforeAll(async () => {
  program = new CommandLine()
}, 300_000)
afterAll(() => program.dispose())

const ponix = (...args: readonly string[]): Promise<Outcome> => program.run(...args)

const touch = { command: '/bin/sh', args: ['-c', 'echo x >> was-started'] }
const file = {
  processes: {
    store: { ...touch, env: { DB_PASSWORD: 'hunter22' } },
    web: { ...touch, depends_on: ['store'] },
  },
}

describe('export (O-10)', () => {
  it('prints its help', async () => {
    const { code, stdout } = await program.run('export', '--help')
    expect([code, stdout]).toEqual([0, expect.stringContaining('<engine>')])
  })

  const withProfile = { processes: { ...file.processes, mail: { ...touch, profiles: ['dev'] } } }

  it('contains the processes of all profiles for Compose', async () => {
    program.writeConfig(withProfile)
    const { stdout, stderr } = await ponix('export', 'compose')
    expect(parseYamlDocuments(stdout)).toMatchObject([{ services: { web: {}, mail: { profiles: ['dev'] } } }])
    expect(stderr).not.toContain('left out')
  })

  it('contains only the processes of --only for Compose', async () => {
    program.writeConfig(withProfile)
    const { stdout } = await ponix('--only', 'store', 'export', 'compose')
    expect(parseYamlDocuments(stdout)).toMatchObject([{ services: { store: {} } }])
    expect(stdout).not.toContain('mail')
  })

  it.each(['systemd', 'kubernetes'])('names the processes of inactive profiles that %s leaves out', async (engine) => {
    program.writeConfig(withProfile)
    const { stdout, stderr } = await ponix('export', engine)
    expect(stdout).not.toContain('mail')
    expect(stderr).toContain(
      'note: left out because their profiles are not active: mail; include them with --profile dev\n',
    )
  })

  it('writes valid units with systemd --output, prints their paths and starts nothing', async () => {
    program.writeConfig(file)
    const { code, stdout, stderr } = await ponix('export', 'systemd', '--name', 'plant', '--output', 'out/units')
    expect(code).toBe(0)
    const names = ['plant.target', 'plant-store.service', 'plant-web.service']
    expect(stdout.split('\n')).toEqual([...names.map((name) => join('out/units', name)), ''])
    expect(stderr).toMatch(/^note: plant-store\.service: DB_PASSWORD: secret, /m)
    const folder = join(program.folder, 'out/units')
    expect(readdirSync(folder).toSorted()).toEqual(names.toSorted())
    expect(await verifyUnits(names.map((name) => join(folder, name)))).toBe('')
    expect(existsSync(join(program.folder, 'was-started'))).toBe(false)
  })

  it.each(['joe', '1000'])('runs every unit as the user of --user %s', async (user) => {
    program.writeConfig(file)
    const { stdout, stderr } = await ponix('export', 'systemd', '--user', user)
    expect(stdout.match(/^User=.*$/gm)).toEqual([`User=${user}`, `User=${user}`])
    expect(stderr).not.toContain('no unit has User=')
  })

  it('prints all files to stdout without --output, each under its name', async () => {
    program.writeConfig(file)
    const { stdout } = await ponix('export', 'systemd', '--name', 'plant')
    const names = [...stdout.matchAll(/^# (plant\S+)\n\[Unit\]$/gm)].map(([, name]) => name)
    expect(names).toEqual(['plant.target', 'plant-store.service', 'plant-web.service'])
  })

  it.each(['compose', 'kubernetes'])('%s prints YAML with the given image', async (engine) => {
    program.writeConfig(file)
    const { code, stdout } = await ponix('export', engine, '--image', 'registry.example/plant:7')
    expect([code, parseYamlDocuments(stdout).length > 0]).toEqual([0, true])
    expect(stdout).toContain('image: registry.example/plant:7\n')
  })

  it.each(['systemd', 'compose', 'kubernetes'])('%s writes no secret to files or output (O-42)', async (engine) => {
    program.writeConfig(file)
    const { stdout, stderr } = await ponix('export', engine)
    expect(stdout + stderr).toContain('DB_PASSWORD')
    expect(stdout + stderr).not.toContain('hunter22')
  })

  it.each(['systemd', 'compose', 'kubernetes'])(
    '%s refers to an env_file without its values (O-42)',
    async (engine) => {
      writeFileSync(join(program.folder, 'app.env'), 'DB_PASS=hunter22\nREGION=eu-north-7\n')
      const web = { ...touch, env_file: 'app.env' }
      program.writeConfig({ env_file: { path: 'none.env', required: false }, processes: { web } })
      const { code, stdout, stderr } = await ponix('export', engine)
      expect(code).toBe(0)
      expect(stdout).toContain('app.env')
      expect(stdout + stderr).not.toMatch(/hunter22|eu-north-7/)
    },
  )

  it('compose writes the path of an env_file relative to the folder of --output', async () => {
    writeFileSync(join(program.folder, 'app.env'), 'REGION=eu-north-7\n')
    program.writeConfig({ env_file: 'app.env', processes: { web: touch } })
    await ponix('export', 'compose', '--output', 'a/b')
    expect(program.read('a/b/compose.yaml')).toContain('path: "../../app.env"\n')
  })

  it('omits disabled processes and overwrites earlier files', async () => {
    program.writeConfig(file)
    await ponix('export', 'compose', '--output', 'twice')
    await ponix('--disable', 'store', 'export', 'compose', '--output', 'twice')
    expect(readdirSync(join(program.folder, 'twice'))).toEqual(['compose.yaml'])
    expect(readFileSync(join(program.folder, 'twice/compose.yaml'), 'utf8')).not.toContain('store')
  })

  it.each([
    [['export', 'nomad'], 'ponix-orchestrator: export: no engine "nomad"; expected systemd, compose or kubernetes'],
    [
      ['export', 'systemd', '--user', 'a b'],
      'ponix-orchestrator: --user "a b": expected the name or the id of a user, such as ponix',
    ],
    [
      ['export', 'compose', '--user', 'joe'],
      'ponix-orchestrator: export compose: --user has an effect for systemd only; leave it out',
    ],
    [['export'], 'ponix-orchestrator: export needs <engine>: systemd, compose or kubernetes'],
    [
      ['export', 'compose', '--output', 'a-file'],
      'ponix-orchestrator: --output "a-file": cannot be written to (ENOTDIR); name another folder',
    ],
    [
      ['export', 'compose', '--output', '/proc/x/y'],
      'ponix-orchestrator: cannot create the folder /proc/x: no such file or directory (ENOENT); name another folder with --output',
    ],
    [
      ['export', 'compose', '--config', 'none.json'],
      'ponix-orchestrator: none.json does not exist; name an existing file with --config',
    ],
  ])('prints one line and exits with 2 for %j', async (args, message) => {
    program.writeConfig(file)
    writeFileSync(join(program.folder, 'a-file'), '')
    expect(await ponix(...args)).toEqual({ code: 2, stdout: '', stderr: `${message}\n` })
  })
})
