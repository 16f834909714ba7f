import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { folder, load, problems } from '../../../../test/rig/configuration/config.ts'
import { describeCommandLine } from './check-command.ts'

describe('a command line in place of a program', () => {
  it.each([
    [
      'node web.js --port 3',
      '"node web.js --port 3" is not a program: write "command": "node", "args": ["web.js", "--port", "3"], or "shell": true',
    ],
    [
      `sh -c 'echo a b'`,
      `"sh -c 'echo a b'" is not a program: write "command": "sh", "args": ["-c", "echo a b"], or "shell": true`,
    ],
    ['a && b', '"a && b" is not a program: add "shell": true, which runs it with /bin/sh -c'],
    ['PORT=3 node x', '"PORT=3 node x" is not a program: add "shell": true, which runs it with /bin/sh -c'],
    ['x --token hunter2', 'a command line is not a program: write "command" and "args", or "shell": true'],
    ['x --token=hunter2 &', 'a command line is not a program: add "shell": true, which runs it with /bin/sh -c'],
  ])('%j is described with its correction', (command, description) => {
    expect(describeCommandLine(command, [])).toBe(description)
  })

  it('is found where it stands', () => {
    writeFileSync(join(folder, 'run.sh'), '')
    expect(
      problems({
        processes: {
          a: { command: 'node web.js' },
          b: { command: './run.sh now' },
          c: { command: './none.sh --now' },
        },
      }).map((problem) => problem.replace(/ is not .*/, '')),
    ).toEqual([
      'processes.a.command: "node web.js"',
      'processes.b.command: "./run.sh now"',
      'processes.c.command: "./none.sh --now"',
    ])
  })

  it('is not a line for the shell, a program with a space in its path, or a path that does not exist', () => {
    mkdirSync(join(folder, 'My App'), { recursive: true })
    for (const name of ['My App/run', 'on path']) writeFileSync(join(folder, name), '#!/bin/sh\n')
    chmodSync(join(folder, 'on path'), 0o755)
    const { processes } = load(
      {
        processes: {
          a: { command: 'node web.js', shell: true },
          b: { command: './My App/run' },
          c: { command: '/opt/My App/run' },
          d: { command: 'on path' },
          e: { command: 'node ' },
        },
      },
      { environment: { PATH: folder } },
    )
    expect(processes).toHaveLength(5)
  })
})
