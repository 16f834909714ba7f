import { describe, expect, it } from 'vitest'
import { processesOf, readCompose } from '../../../../../test/rig/configuration/compose-draft.ts'

describe('the command of a Compose service', () => {
  it.each([
    ['node x --glob *.js', ['--glob', '*.js']],
    [`node 'a b' "c \\"d\\"" e\\ f g'h'`, ['a b', 'c "d"', 'e f', 'gh']],
    ['node $$HOME ${B:-c}', ['$HOME', '${B:-c}']],
  ])('splits the command %j without a shell', async (command, args) => {
    const draft = await readCompose(JSON.stringify({ services: { a: { build: '.', command } } }))
    const expected = command.startsWith('node x') ? ['x', ...args] : args
    expect(processesOf(draft)).toMatchObject({ a: { command: 'node', args: expected } })
  })

  it.each([
    [['sh', '-c', 'a && echo $$B'], { command: 'a && echo $B', shell: true }],
    [['/bin/sh', '-c', 'a ${B:-c}'], { command: '/bin/sh', args: ['-c', 'a ${B:-c}'] }],
    [['bash', '-c', 'a && b'], { command: 'bash', args: ['-c', 'a && b'] }],
  ])('has the command %j', async (command, expected) => {
    const draft = await readCompose(JSON.stringify({ services: { a: { build: '.', command } } }))
    expect(processesOf(draft)['a']).toEqual({ ...expected, restart: { policy: 'on_failure' } })
  })

  it('takes the command of the Dockerfile', async () => {
    const files = {
      'api/Dockerfile': 'FROM node AS dev\n# CMD no\nCMD ["npm", \\\n  "start"]\nFROM dev\nCMD echo $HOME\n',
      './Dockerfile': 'FROM x\nENTRYPOINT ["serve"]\nCMD ["--port", "1"]\n',
      'image/Dockerfile': 'FROM nginx\nCOPY . .\n',
      'bin/Dockerfile': 'FROM scratch\nCMD ["/server"]\n',
    }
    const draft = await readCompose(
      `
services:
  dev: { build: { context: api, target: dev } }
  last: { build: api }
  root: { build: ., command: --port 2 }
  plain: { build: . }
  image: { build: image }
  bin: { build: bin }
  none: { build: none }
`,
      files,
    )
    expect(processesOf(draft)).toMatchObject({
      dev: { command: 'npm', args: ['start'], cwd: 'api' },
      last: { command: 'echo $HOME', shell: true },
      root: { command: 'serve', args: ['--port', '2'] },
      plain: { command: 'serve', args: ['--port', '1'] },
    })
    const left = (name: string) =>
      `${name}: left out, because its command is in the Dockerfile; add it as "command", or keep it in Compose: docker compose up -d ${name}`
    expect(draft.notes).toEqual(expect.arrayContaining([left('image'), left('bin'), left('none')]))
  })
})
