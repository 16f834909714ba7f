import { describe, expect, it } from 'vitest'
import { processesOf, readCompose } from '../../../../../test/rig/configuration/compose-draft.ts'
import { renderFile } from '../render.ts'

describe('the variables of Compose', () => {
  const shell = { SET: 'value', EMPTY: '', DB_PASSWORD: 'from the shell' }

  it.each([
    ['$SET/${SET}', '${SET}/${SET}', []],
    ['${SET:-x} ${NONE:-x}', '${SET:-x} ${NONE:-x}', []],
    ['${NONE:-a${SET}b${OTHER:-${SET}}}', '${NONE:-a${SET}b${OTHER:-${SET}}}', []],
    ['${NONE-x}', '${NONE:-x}', ['${NONE-…} became ${NONE:-…}, whose default also replaces an empty NONE']],
    ['${EMPTY-x}', '${EMPTY}', []],
    ['${SET?no}', '${SET}', []],
    ['${SET:?no}', '${SET}', ['${SET:?…} became ${SET}, which can be empty']],
    ['${SET:+y$SET}', 'y${SET}', ['${SET:+…} became its text, because SET is set now']],
    ['${EMPTY:+y}|', '|', ['${EMPTY:+…} became empty, because EMPTY is not set now']],
    ['${EMPTY+y}|', 'y|', ['${EMPTY+…} became its text, because EMPTY is set now']],
    ['5$$ $${A} $$$${A}', '5$ $${A} $$${A}', []],
    ['$$$SET', '$value', ['$$$SET became "$" and the present value of SET']],
    ['1$ $1 ${', '1$ $1 $${', []],
    ['${SET', '$${SET', []],
    [
      '$NONE ${OTHER}',
      '${NONE} ${OTHER}',
      [
        'NONE, OTHER: not set in .env or the shell, and without a default; set them in .env, or write a default such as ${NONE:-x}',
      ],
    ],
  ])('%j becomes %j', async (text, expected, notes) => {
    const draft = await readCompose(
      JSON.stringify({ services: { a: { build: '.', command: ['x', text] } } }),
      {},
      shell,
    )
    expect(draft.processes.get('a')).toMatchObject({ args: [expected] })
    expect(draft.notes).toEqual(notes)
  })

  it('refers to .env, whose values are not copied', async () => {
    const draft = await readCompose(
      'services: { a: { build: ., command: x, environment: ["URL=${DB_PASSWORD}", TOKEN, "NAME=${NAME}"] } }',
      { '.env': 'DB_PASSWORD=hidden\nTOKEN=hidden\nNAME=${DB_PASSWORD}x\n' },
    )
    const text = renderFile(draft, { source: 'a test' })
    expect(text).toContain('  "env_file": { "path": ".env", "required": false },\n')
    expect(text).not.toContain('hidden')
    expect(draft.processes.get('a')?.['env']).toEqual({ URL: '${DB_PASSWORD}', NAME: '${NAME}' })
    expect(draft.notes).toEqual(['NAME in .env: variables in their values are not replaced; write the result'])
  })

  it('needs no .env without variables', async () => {
    const draft = await readCompose('services: { a: { build: ., command: x } }', { '.env': 'A=1' })
    expect(draft).not.toHaveProperty('envFile')
  })

  it('come before a variable of the same process that has another value', async () => {
    const draft = await readCompose(
      'services: { a: { build: ., command: x, environment: { A: "1", B: "${A:-2}", C: "${C:-3}", D: "${C:-4}", E: "${E}", F: "${E}" } } }',
      { '.env': 'E=5' },
    )
    const env = draft.processes.get('a')?.['env']
    expect(Object.keys(env ?? {})).toEqual(['B', 'D', 'A', 'C', 'E', 'F'])
  })

  it('are replaced in keys that cannot have variables', async () => {
    const draft = await readCompose(
      `
services:
  a:
    build: .
    command: x
    deploy: { replicas: "\${COUNT:-2}" }
    tty: \${TTY:-false}
    stop_grace_period: \${GRACE}s
`,
      { '.env': 'GRACE=7' },
    )
    expect(processesOf(draft)['a']).toMatchObject({ replicas: 2, shutdown: { timeout_ms: 7000 } })
    expect(draft.notes).toEqual([
      'a: deploy.replicas: ${COUNT:-2} became "2", because this key cannot have variables',
      'a: tty: ${TTY:-false} became "false", because this key cannot have variables',
      'a: stop_grace_period: ${GRACE}s became "7s", because this key cannot have variables',
    ])
  })
})
