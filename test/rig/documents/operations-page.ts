import { projectRoot } from '../program.ts'
import { commandsIn, type Exceptions, readDocuments } from './document-commands.ts'

/** The commands that operations.test.ts does not run, and the reason. */
const NOT_RUN: Exceptions = [
  [/^git /, 'needs the repository and its remote one'],
  [/^npm start$/, 'mentions the command that a section shows with --disable demo'],
  [/^systemctl /, 'changes the machine'],
  [/^npm start -- .*--detach/, 'is npm start in the background, which detach.test.ts runs'],
  [/^ponix-cdc (status|resnapshot|forget)$/, 'mentions a command that a section shows, or that cdc.md describes'],
  [/^ponix-migrate down$/, 'advises against it; program.pg.test.ts runs it'],
]

const isRun = (command: string): boolean => !NOT_RUN.some(([pattern]) => pattern.test(command))

/** The sections with commands, in the order in which operations.test.ts runs them. */
export const SECTIONS = [
  'Operating the pipeline',
  'Back up',
  'Restore ClickHouse',
  'Restore NATS',
  'Restore PostgreSQL',
  'Restore everything',
  'An unavailable server',
  'After an outage',
  'Unread messages that expire',
  'A full stream',
  'An organization that sends more than its share',
  'A gateway that does not work',
  'A slot that is gone',
  'Free space',
  'Dead letters',
  'Upgrade',
] as const

export type Section = (typeof SECTIONS)[number]

/** Returns the commands of each section of docs/operations.md that operations.test.ts runs; empty for a section without commands. */
export async function readSections(): Promise<ReadonlyMap<string, readonly string[]>> {
  const { operations } = await readDocuments(projectRoot)
  return new Map(
    operations.text.split(/^#+ /m).map((section) => {
      const [heading = '', ...lines] = section.split('\n')
      const commands = commandsIn({ path: operations.path, text: lines.join('\n') }).map(({ text }) => text)
      return [heading, commands.filter(isRun)] as const
    }),
  )
}
