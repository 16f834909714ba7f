import { describe, expect, it } from 'vitest'
import { processesOf, readCompose } from '../../../../../test/rig/configuration/compose-draft.ts'

describe('a Compose service that extends others', () => {
  it('merges the services that a service extends, in the same file and in others', async () => {
    const draft = await readCompose(
      `
services:
  base: { build: ., command: x one, environment: [A=1, B=1], depends_on: [other], profiles: [p] }
  own: { extends: base, command: x two, environment: { B: 2 }, depends_on: { other: { condition: service_healthy } } }
  far: { extends: { file: ./common/base.yml, service: web }, environment: [C=3], env_file: own.env }
  other: { build: ., command: y }
  loop: { extends: { service: loop }, build: ., command: z }
  lost: { extends: { file: none.yml, service: web }, build: ., command: z }
`,
      {
        'common/base.yml': `services:
  web: { extends: { file: ../deep.yml, service: deep }, build: { context: ../web }, env_file: base.env, develop: { watch: [{ action: restart, path: ./src }] } }`,
        'deep.yml': 'services: { deep: { command: deep, environment: [C=1, D=4] } }',
        'common/base.env': '',
        'own.env': '',
      },
    )
    expect(
      processesOf({ ...draft, processes: new Map([...draft.processes].filter(([name]) => name !== 'far')) }),
    ).toEqual({
      base: {
        command: 'x',
        args: ['one'],
        env: { A: '1', B: '1' },
        depends_on: ['other'],
        restart: { policy: 'on_failure' },
        profiles: ['p'],
      },
      own: {
        command: 'x',
        args: ['two'],
        env: { A: '1', B: '2' },
        depends_on: { other: { condition: 'ready' } },
        restart: { policy: 'on_failure' },
        profiles: ['p'],
      },
      other: { command: 'y', restart: { policy: 'on_failure' } },
      loop: { command: 'z', restart: { policy: 'on_failure' } },
      lost: { command: 'z', restart: { policy: 'on_failure' } },
    })
    expect(draft.processes.get('far')).toEqual({
      command: 'deep',
      cwd: 'web',
      env_file: ['common/base.env', 'own.env'],
      env: { C: '3', D: '4' },
      watch: { paths: ['common/src'] },
      restart: { policy: 'on_failure' },
    })
    expect(draft.notes).toEqual([
      'loop: extends loop left out: the services extend each other',
      'lost: extends web of none.yml left out: there is no such service',
    ])
  })
})
