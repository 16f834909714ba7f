import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { fileOf, loadGraph, parseYamlDocuments } from '../../../test/rig/configuration/export.ts'
import { verifyExport } from '../../../test/rig/orchestrator/systemd.ts'
import { parseCron } from '../config/cron.ts'
import { exportCompose } from './compose.ts'
import { exportKubernetes } from './kubernetes.ts'
import { calendarEvents } from './systemd-timer.ts'
import { exportSystemd } from './systemd.ts'

const run = promisify(execFile)
const backup = { command: 'sleep', args: ['1'], kind: 'task', schedule: '30 */6 * * MON-FRI' }
const graphOf = (schedule = backup.schedule) => loadGraph({ processes: { backup: { ...backup, schedule } } })

describe('a schedule', () => {
  it('is a timer of systemd, which the target starts instead of the service', async () => {
    const { config, options } = graphOf()
    const exported = exportSystemd(config, { ...options, user: null, systemdVersion: 252 })
    expect(fileOf(exported, 'plant.target')).toContain('Wants=plant-backup.timer\n')
    expect(fileOf(exported, 'plant.target')).not.toContain('backup.service')
    expect(fileOf(exported, 'plant-backup.timer')).toContain('OnCalendar=Mon,Tue,Wed,Thu,Fri *-*-* 0..23/6:30:0\n')
    expect(fileOf(exported, 'plant-backup.service')).not.toContain('RemainAfterExit')
    expect(await verifyExport(exported)).toBe('')
  })

  it.each([
    ['* * * * *', ['*-*-* *:*:0']],
    ['*/10 * * * * *', ['*-*-* *:*:0..59/10']],
    ['0 3 1,15 */2 *', ['*-1..12/2-1,15 3:0:0']],
    ['0 0 * * 7', ['Sun *-*-* 0:0:0']],
    ['0 0 13 * 5', ['Fri *-*-* 0:0:0', '*-*-13 0:0:0']],
    ['@monthly', ['*-*-1 0:0:0']],
  ])('%s is %j for systemd', async (expression, events) => {
    const schedule = parseCron(expression)
    if (typeof schedule === 'string') throw new Error(schedule)
    expect(calendarEvents(schedule)).toEqual(events)
    await expect(run('systemd-analyze', ['calendar', ...events])).resolves.toMatchObject({ stderr: '' })
  })

  it('is a CronJob of Kubernetes in the time zone of this machine', () => {
    const { config, options } = graphOf()
    const exported = exportKubernetes(config, options)
    const [job] = parseYamlDocuments(fileOf(exported, 'plant.yaml'))
    expect(job).toMatchObject({
      kind: 'CronJob',
      spec: {
        schedule: '30 0,6,12,18 * * 1,2,3,4,5',
        timeZone: new Intl.DateTimeFormat().resolvedOptions().timeZone,
        concurrencyPolicy: 'Forbid',
        jobTemplate: { spec: { backoffLimit: 0, template: { spec: { restartPolicy: 'Never' } } } },
      },
    })
    expect(exported.notes.join()).not.toContain('seconds')
    const often = graphOf('*/10 * * * * *')
    expect(exportKubernetes(often.config, often.options).notes).toContain(
      'backup: a CronJob has no seconds: it runs once in each minute of its schedule',
    )
  })

  it('is a profile and a note for Compose', () => {
    const { config, options } = graphOf()
    const exported = exportCompose(config, options)
    expect(parseYamlDocuments(fileOf(exported, 'compose.yaml'))).toMatchObject([
      { services: { backup: { profiles: ['scheduled'] } } },
    ])
    expect(exported.notes).toContainEqual(expect.stringMatching(/^backup: Compose has no schedules.*run --rm backup/))
  })
})

it('a memory limit is passed to every engine', () => {
  const { config, options } = loadGraph({ processes: { web: { command: 'sleep', args: ['9'], memory_limit: '1GiB' } } })
  const systemd = exportSystemd(config, { ...options, user: null, systemdVersion: 252 })
  expect(fileOf(systemd, 'plant-web.service')).toContain('\nMemoryMax=1073741824\n')
  expect(parseYamlDocuments(fileOf(exportCompose(config, options), 'compose.yaml'))).toMatchObject([
    { services: { web: { mem_limit: 1_073_741_824 } } },
  ])
  const limits = { resources: { limits: { memory: '1073741824' } } }
  expect(parseYamlDocuments(fileOf(exportKubernetes(config, options), 'plant.yaml'))).toMatchObject([
    { spec: { template: { spec: { containers: [limits] } } } },
  ])
})

it.each([
  [{ watch: true }, /^its watch has no counterpart/],
  [{ on_failed: 'mail root' }, /^its on_failed /],
])('%j has no counterpart, which a note says', (keys, note) => {
  const { config, options } = loadGraph({ processes: { web: { command: 'sleep', args: ['9'], ...keys } } })
  const systemd = exportSystemd(config, { ...options, user: null, systemdVersion: 252 })
  for (const { notes } of [systemd, exportCompose(config, options), exportKubernetes(config, options)]) {
    expect(notes.map((text) => text.replace(/^[\w.-]+: /, ''))).toContainEqual(expect.stringMatching(note))
  }
})
