import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { emptyFolder } from '../../../../test/rig/empty-folder.ts'
import { verifyUnits } from '../../../../test/rig/orchestrator/systemd.ts'
import { projectRoot } from '../../../../test/rig/program.ts'

const path = join(projectRoot, 'deploy', 'ponix-orchestrator.service')

describe('the shipped unit (O-40)', () => {
  it('is accepted by systemd', async () => {
    expect(await verifyUnits([path])).toBe('')
  })

  it('a broken unit is detected by this check', async () => {
    const folder = emptyFolder()
    const broken = join(folder, 'broken.service')
    writeFileSync(broken, readFileSync(path, 'utf8').replace('KillMode=mixed', 'KillMode=gentle\nKillMood=mixed'))
    const output = await verifyUnits([broken])
    expect(output).toContain('gentle')
    expect(output).toContain('KillMood')
  })

  it('is accepted with the absolute paths of docs/systemd.md', async () => {
    const folder = emptyFolder()
    const [, example = ''] = /```ini\n(.*?)```/s.exec(readFileSync(join(projectRoot, 'docs/systemd.md'), 'utf8')) ?? []
    expect(example).toContain('/opt/node/bin/node ')
    const name = 'ponix-orchestrator.service'
    mkdirSync(join(folder, `${name}.d`))
    // systemd checks that the program exists.
    writeFileSync(join(folder, `${name}.d/override.conf`), example.replace('/opt/node/bin/node', process.execPath))
    copyFileSync(path, join(folder, name))
    expect(await verifyUnits([join(folder, name)])).toBe('')
  })

  it('runs as a user without rights, reads an optional file of variables, and is not restarted after a mistake', () => {
    const lines = readFileSync(path, 'utf8').split('\n')
    const expected = ['User=ponix', 'EnvironmentFile=-/etc/ponix-orchestrator.env', 'RestartPreventExitStatus=2']
    expect(lines).toEqual(expect.arrayContaining(expected))
  })

  it('accepts systemd-notify, waits for the whole graph, and the orchestrator stops its processes in order', () => {
    const lines = readFileSync(path, 'utf8').split('\n')
    const expected = ['Type=notify', 'NotifyAccess=all', 'KillMode=mixed', 'Restart=on-failure', 'WatchdogSec=30']
    expect(lines).toEqual(expect.arrayContaining(expected))
  })
})
