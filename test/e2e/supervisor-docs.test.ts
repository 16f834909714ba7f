import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/orchestrator/config/load.ts'
import { plainOptions } from '../rig/configuration/load-options.ts'
import { projectRoot } from '../rig/program.ts'
import {
  blocksOf,
  commandsIn,
  type Document,
  type Exceptions,
  likeness,
  readDocuments,
} from '../rig/documents/document-commands.ts'
import { request } from '../rig/documents/installed-programs.ts'
import { PageApplication } from '../rig/documents/page-application.ts'

const { supervisor: documents } = await readDocuments(projectRoot)

/** The pages whose commands run with their own first example; all others run with the example of docs/supervisor.md. */
const OWN_EXAMPLE = ['README.md', 'docs/control.md', 'docs/selection.md', 'docs/terminal.md', 'docs/variables.md']

/** The commands that the test does not run, and the reason. */
const NOT_HERE: Exceptions = [
  [
    /^npm install (--save-dev|--global) ponix-orchestrator$/,
    'needs the registry; package.test.ts installs the package',
  ],
  [/^npm (run build|pack)$/, 'package.test.ts installs the package from its file'],
  [/^useradd /, 'changes the machine'],
  [/^cp \S+ \S+ \S+ \/etc\//, 'changes the machine; systemd-unit.test.ts reads the unit'],
  [/^(sudo|systemctl|kubectl) /, 'needs a running systemd or cluster, and rights for it'],
  [/^docker (compose .*|run)$/, 'a command of another tool, in a comparison'],
  [/^npm (run|start)$/, 'names a command of npm, without a script'],
  [/^npx vitest run .*(schema|routes)\.test\.ts -u$/, 'rewrites documents; the same test without -u compares them'],
]

type Check = (command: string, application: PageApplication) => Promise<void>

const HERE: readonly (readonly [command: RegExp, check: Check])[] = [
  [/^ponix-orchestrator( run)?( --(only|disable|profile|timestamps|prefix)\b.*)?$/, startsProcesses],
  [/^ponix-orchestrator run --detach --wait$/, startsInBackground],
  [/^ponix-orchestrator (status --watch|logs -f (?!\|).*)$/, follows],
  [/^ponix-orchestrator logs -f \| head -1$/, endsWithItsReader],
  [/^ponix-orchestrator start /, startsLeftOut],
  [/^ponix-orchestrator down$/, stopsEverything],
  [/^ponix-orchestrator attach( \w+)?$/, attaches],
  [/^ponix-orchestrator (status|restart|stop|scale|reload|wait|logs)\b/, succeedsWhileUp],
  [/^ponix-orchestrator init$/, writesFirstFile],
  [/^ponix-orchestrator (validate|export .*)( --.*)?$/, prints],
  [
    /^ponix-orchestrator completion fish > /,
    (command, application) => prints(`${command} && cat ${command.split('> ')[1]}`, application),
  ],
  [
    /^ponix-orchestrator\(\) \{/,
    (command, application) => prints(`bash -c '${command}; ponix-orchestrator completion bash'`, application),
  ],
  [/^(node -p|readlink -f) /, prints],
  [/^source <\(/, (command, application) => prints(command.slice('source <('.length, -1), application)],
  [/^curl .*:19200\/readyz$/, asksReadiness],
  [/^curl .*:19200\//, asksOrchestrator],
]

async function startsProcesses(command: string, application: PageApplication): Promise<void> {
  const orchestrator = await application.up(command)
  orchestrator.signalGroup('SIGINT')
  expect((await orchestrator.outcome).stderr).toContain('everything is stopped')
}

async function startsInBackground(command: string, application: PageApplication): Promise<void> {
  await application.stopped()
  expect(await application.run(command)).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('in the background'),
  })
  expect(await application.run('ponix-orchestrator down')).toMatchObject({ code: 0 })
}

/** Checks that the command prints output until Ctrl-C. */
async function follows(command: string, application: PageApplication): Promise<void> {
  await application.whileUp(async () => {
    const follower = application.start(command)
    await follower.seen(/\w/)
    follower.signalGroup('SIGINT')
    expect(await follower.outcome).toMatchObject({ stderr: '' })
  })
}

/** Checks that a command whose reader has ended after one line ends with a later line. */
async function endsWithItsReader(command: string, application: PageApplication): Promise<void> {
  await application.whileUp(async () => {
    const follower = application.start(command)
    await follower.seen(/\n/)
    expect(await application.run('ponix-orchestrator restart all')).toMatchObject({ code: 0 })
    expect(await follower.outcome).toMatchObject({ code: 0, stderr: '' })
  })
}

async function startsLeftOut(command: string, application: PageApplication): Promise<void> {
  const orchestrator = await application.up('ponix-orchestrator --only mail')
  expect(await application.run(command)).toMatchObject({ code: 0 })
  orchestrator.signalGroup('SIGINT')
  await orchestrator.outcome
}

async function stopsEverything(command: string, application: PageApplication): Promise<void> {
  const orchestrator = await application.up()
  expect(await application.run(withoutNpx(command))).toMatchObject({ code: 0 })
  expect(await orchestrator.outcome).toMatchObject({ code: 0 })
}

/** Checks that the command shows output in a terminal, and that its key leaves without stopping anything. */
async function attaches(command: string, application: PageApplication): Promise<void> {
  await application.whileUp(async () => {
    const terminal = application.open(command)
    // npx also writes to the terminal, before the program has started.
    const isNamed = /attach \w/.test(command)
    await terminal.seen(isNamed ? /> / : /\[orchestrator\]/)
    terminal.press(isNamed ? '\u001d' : '\u0003')
    // With some shells, Ctrl-C also ends the shell of npx, and so npx.
    expect(isNamed || !command.startsWith('npx') ? [0] : [0, 130]).toContain(await terminal.exitCode)
    expect(await application.run('ponix-orchestrator status')).toMatchObject({ code: 0 })
  })
}

async function succeedsWhileUp(command: string, application: PageApplication): Promise<void> {
  await application.whileUp(async () => {
    expect(await application.run(withoutNpx(command))).toMatchObject({ code: 0, stderr: '' })
  })
}

async function writesFirstFile(command: string, application: PageApplication): Promise<void> {
  application.writeFile('package.json', JSON.stringify({ scripts: { dev: 'node server.js' } }))
  const line = `mkdir first && cp package.json server.js first && cd first && ${withoutNpx(command)} && ponix-orchestrator validate`
  expect(await application.run(line)).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('commonplace.json is valid'),
  })
}

async function prints(command: string, application: PageApplication): Promise<void> {
  expect(await application.run(withoutNpx(command))).toMatchObject({ code: 0, stdout: expect.stringMatching(/\w/) })
}

async function asksOrchestrator(command: string, application: PageApplication): Promise<void> {
  await application.whileUp(async () => {
    expect(await request(application.here(command))).toContain('web')
  })
}

async function asksReadiness(command: string, application: PageApplication): Promise<void> {
  await application.whileUp(async () => {
    expect(await request(application.here(command))).toContain('"ready":true')
  })
}

/**
 * Returns the command without npx, which runs the same program and takes longer than the command. Commands that signals or a
 * terminal end are run with npx, which passes these on.
 */
function withoutNpx(command: string): string {
  return command.replace(/^npx (?=ponix-)/, '')
}

const applications = documents.map((document) => ({ document, commands: commandsIn(document).map(({ text }) => text) }))
const allCommands = applications.flatMap(({ commands }) => commands)
const isListed = (command: string): boolean => NOT_HERE.some(([pattern]) => pattern.test(command))
const checkOf = (command: string): Check | undefined => HERE.find(([pattern]) => pattern.test(withoutNpx(command)))?.[1]

describe('commands of the documents of the supervisor', () => {
  it('are all run by this test, or listed with a reason', () => {
    expect(allCommands.filter((command) => !isListed(command) && checkOf(command) === undefined)).toEqual([])
  })

  it('cover every pattern of this test', () => {
    const unused = [...NOT_HERE, ...HERE].filter(
      ([pattern]) => !allCommands.some((command) => pattern.test(withoutNpx(command))),
    )
    expect(unused.map(([pattern]) => pattern.source)).toEqual([])
  })
})

describe.each(applications.filter(hasExamples))('$document.path', ({ document, commands }) => {
  let application: PageApplication

  beforeAll(async () => {
    application = await PageApplication.create(exampleOf(document))
  })

  afterAll(async () => {
    await application.stopped()
    // Ends a run in the background, too.
    await application[Symbol.asyncDispose]()
  })

  const runnable = commands.flatMap((command) => {
    const check = isListed(command) ? undefined : checkOf(command)
    return check === undefined ? [] : [{ command, check }]
  })

  it.each(runnable)('$command works as documented', async ({ command, check }) => {
    await expect(check(command, application)).resolves.toBeUndefined()
  })

  it.each(blocksOf('json', document))('contains the valid example %j', async (json) => {
    application.writeFile('example.json', json)
    const path = join(application.folder, 'example.json')
    expect(() => loadConfig({ path, ...plainOptions, environment: process.env })).not.toThrow()
  })

  const exchanges = blocksOf('console', document).flatMap(exchangesOf)

  it.each(exchanges.length === 0 ? [] : [{ exchanges }])('shows the output of its commands', async ({ exchanges }) => {
    await application.stopped()
    for (const { command, output } of exchanges) {
      const { code, stdout } = await application.run(command)
      expect({ command, code }).toEqual({ command, code: 0 })
      const shown = stdout
        .replaceAll(/\S+\/(?=ponix-orchestrator\/)/g, '/home/me/.local/state/')
        .replaceAll(application.folder, '/home/me')
        .replace(/[\w-]+\.log/, 'shop-5715b10b.log')
      for (const line of output) expect(shown).toMatch(likeness(line))
    }
  })
})

function hasExamples({ document, commands }: (typeof applications)[number]): boolean {
  return commands.length > 0 || ['json', 'console'].some((language) => blocksOf(language, document).length > 0)
}

function exampleOf(document: Document): string {
  const page = OWN_EXAMPLE.includes(document.path) ? document.path : 'docs/supervisor.md'
  const [example = ''] = documents.filter(({ path }) => path === page).flatMap((owner) => blocksOf('json', owner))
  return example
}

/** Returns the commands of a block, after `$`, each with the lines of its output. */
function exchangesOf(block: string): readonly { readonly command: string; readonly output: readonly string[] }[] {
  return block
    .split(/^\$ /m)
    .slice(1)
    .map((exchange) => {
      const [command = '', ...output] = exchange.trimEnd().split('\n')
      return { command, output }
    })
}
