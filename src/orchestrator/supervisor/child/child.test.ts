import { readFileSync, readlinkSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { openRig, supervise } from '../../../../test/rig/orchestrator/supervised-graph.ts'
import { RUN_TAG_VARIABLE } from '../system/process-table.ts'

describe('the environment of a child (O-42)', () => {
  test('contains the variables of the definition and the run tag, and no other variable of the orchestrator', async () => {
    const rig = await openRig()
    const program = rig.program('a')
    supervise([{ name: 'a', ...program, env: { ...program.env, COLOUR: 'blue' } }])
    const { [RUN_TAG_VARIABLE]: runTag, ...environment } = await (await rig.nextStart('a')).environment()
    expect(environment).toEqual({ ...program.env, COLOUR: 'blue' })
    expect(runTag).toMatch(/^[\w-]+\/a\/1$/)
  })

  test('includes an empty stdin and a new process group and session (O-37)', async () => {
    const rig = await openRig()
    supervise([{ name: 'a', ...rig.program('a') }])
    const { pid } = await rig.nextStart('a')
    expect(readlinkSync(`/proc/${pid}/fd/0`)).toBe('/dev/null')
    const [, , group, session] = readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/.*\) /s, '').split(' ')
    expect([Number(group), Number(session)]).toEqual([pid, pid])
  })

  test('includes unchanged arguments without a shell, or with "shell" one line for /bin/sh', async () => {
    const graph = supervise([
      { name: 'plain', kind: 'task', command: 'printf', args: ['%s|', '$HOME *', "it's", ''] },
      { name: 'shell', kind: 'task', command: 'printf "%s" "$((1 + 1))"', shell: true },
    ])
    await graph.ended
    expect(graph.stdout.lines.sort()).toEqual(["[plain]        $HOME *|it's||", '[shell]        2'])
  })

  test.each([
    ['command', { command: '/nowhere/hunter22' }],
    ['cwd', { command: 'true', cwd: '/nowhere/hunter22' }],
  ])('does not show the value of a secret variable in a %s that cannot be used', async (_, definition) => {
    const graph = supervise([{ name: 'a', ...definition, env: { PATH: '/bin', API_TOKEN: 'hunter22' } }])
    await graph.ended
    expect(JSON.stringify(graph.events)).toContain('/nowhere/***')
    expect(JSON.stringify(graph.events)).not.toContain('hunter22')
  })

  test('does not show a shell line that cannot be started, because it may contain secrets', async () => {
    const line = `DB_PASSWORD=hunter22 true ${'x'.repeat(200_000)}`
    const graph = supervise([{ name: 'a', command: line, shell: true }])
    await graph.ended
    const failures = graph.events.filter((event) => event.type === 'spawn_failed')
    expect(failures).toEqual([expect.objectContaining({ message: expect.stringMatching(/^"\/bin\/sh" could not be/) })])
    expect(JSON.stringify(graph.events)).not.toContain('hunter22')
  })
})
