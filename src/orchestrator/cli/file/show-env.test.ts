import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { CommandLine } from '../../../../test/rig/orchestrator/command-line.ts'
import type { Environment } from '../../config/resolve/scope.ts'
import { renderVariables, shownVariables } from './show-env.ts'

const own = { type: 'process_env' } as const
const environment = (values: Readonly<Record<string, string>>): Environment =>
  new Map(Object.entries(values).map(([name, value]) => [name, { value, source: own }]))

describe('shownVariables (O-42)', () => {
  it.each([
    [{ API_TOKEN: 'hunter22' }, ['***']],
    [{ API_TOKEN: '' }, ['']],
    [{ URL: 'postgres://me:hunter22@db/x' }, ['postgres://me:***@db/x']],
    [{ API_TOKEN: 'hunter22', COPY: 'hunter22', PART: 'a-hunter22-b' }, ['***', '***', 'a-***-b']],
    [{ API_TOKEN: 'dev', OTHER: 'device', SAME: 'dev' }, ['***', 'device', '***']],
    [{ AUTH_ENABLED: 'true', LICENSE: 'hunter22', X: 'true', Y: 'a-hunter22' }, ['***', '***', 'true', 'a-***']],
    [{ B: '2', A: '1' }, ['1', '2']],
  ])('sorts and masks %j as %j', (values, expected) => {
    expect(shownVariables(environment(values), ['LICENSE']).map(({ value }) => value)).toEqual(expected)
  })
})

describe('renderVariables', () => {
  it('quotes values that are not one line', () => {
    expect(renderVariables(shownVariables(environment({ A: 'two\nlines' }), []))).toBe('env  A="two\\nlines"\n')
  })
})

describe('validate --show-env', () => {
  const program = new CommandLine()
  afterAll(() => program.dispose())
  writeFileSync(join(program.folder, '.env'), 'SHARED=1\nDATABASE_PASSWORD=hunter22\n')
  writeFileSync(join(program.folder, 'worker.env'), 'QUEUE=mail\n')
  program.environment = { FROM_SHELL: 'yes' }
  program.writeConfig({
    env_file: '.env',
    env: { LEVEL: 'info' },
    processes: {
      worker: {
        command: `printf '%s\\n' "$FROM_SHELL $SHARED $LEVEL $QUEUE $DATABASE_URL $PONIX_REPLICA"`,
        shell: true,
        kind: 'task',
        replicas: 2,
        env_file: 'worker.env',
        env: { DATABASE_URL: 'postgres://app:${DATABASE_PASSWORD}@db' },
      },
      off: { command: 'x', args: ['${NOPE}'], disabled: true },
    },
  })

  it('prints the environment that the process gets, with the origin of each variable', async () => {
    const { code, stdout } = await program.run('validate', '--show-env', 'worker#2')
    expect(code).toBe(0)
    const expected = [
      'env                         DATABASE_URL=postgres://app:***@db',
      'env_file of the file: .env  DATABASE_PASSWORD=***',
      'env_file of the file: .env  SHARED=1',
      'env of the file             LEVEL=info',
      'env_file: worker.env        QUEUE=mail',
      'orchestrator                PONIX_REPLICA=2',
      'inherited                   FROM_SHELL=yes',
    ]
    expect(stdout.split('\n')).toEqual(expect.arrayContaining(expected))
    const names = stdout.split('\n').flatMap((line) => /([^\s=]+)=/.exec(line)?.[1] ?? [])
    expect(names).toEqual(names.toSorted((a, b) => (a < b ? -1 : 1)))
    const running = await program.run('run')
    expect(running.stdout).toContain('yes 1 info mail postgres://app:hunter22@db 2')
  })

  it('prints JSON with --json', async () => {
    const { stdout } = await program.run('validate', '--show-env', 'worker#1', '--json')
    const path = join(program.folder, 'worker.env')
    expect(JSON.parse(stdout)).toContainEqual({ name: 'QUEUE', value: 'mail', source: 'process_env_file', path })
  })

  it.each([
    [['worker'], '--show-env "worker": it has replicas; name one of them, such as "worker#1"'],
    [['worker#3'], '--show-env "worker#3": there is no such process; did you mean "worker#1"?'],
    [
      ['off'],
      '--show-env: "off" cannot be started: processes.off.args[0]: ${NOPE} is not set and has no default; set NOPE, or write ${NOPE:-default}',
    ],
  ])('rejects %j (O-6)', async (args, message) => {
    expect(await program.run('validate', '--show-env', ...args)).toEqual({
      code: 2,
      stdout: '',
      stderr: `ponix-orchestrator: ${message}\n`,
    })
  })

  it('rejects --json without --show-env (O-6)', async () => {
    expect((await program.run('validate', '--json')).stderr).toBe(
      'ponix-orchestrator: validate --json: has no effect without --show-env NAME\n',
    )
  })
})
