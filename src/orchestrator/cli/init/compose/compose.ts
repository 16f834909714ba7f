import { z } from 'zod'
import { messageOf, UserError } from '../../../config/errors.ts'
import type { Variables } from '../../../config/variables.ts'
import type { Draft, ProjectFolder } from '../draft.ts'
import { isObject, type YamlObject } from './extends.ts'
import { ServiceSet } from './services.ts'
import { ComposeVariables } from './variables.ts'

/** The file of a project from which Compose replaces variables, before those of the shell. */
const ENV_FILE = '.env'
const composeSchema = z.looseObject({ services: z.record(z.string(), z.unknown()) })
type ComposeFile = z.infer<typeof composeSchema>
/** Keys beside `services` that are used, or that need no note: `version` is obsolete. */
const silentKeys = ['services', 'name', 'version', 'volumes', 'secrets']

/**
 * Reads a Compose file in a folder, with the `.env` of the folder and with the variables of the shell. Throws a UserError if it is not
 * a Compose file, or if `.env` is invalid.
 */
export async function draftFromCompose(
  text: string,
  file: string,
  project: ProjectFolder,
  shell: Variables,
): Promise<Draft> {
  const parse = await yamlParser()
  const { services, ...others } = readCompose(parse, text, file)
  const dotenv = project.readEnv(ENV_FILE) ?? {}
  const variables = new ComposeVariables({ ...dotenv, ...shell })
  const set = new ServiceSet(services, {
    project,
    variables,
    containers: {
      name: projectName(others['name'], project.name, variables),
      volumes: isObject(others['volumes']) ? others['volumes'] : {},
      secrets: isObject(others['secrets']) ? others['secrets'] : {},
    },
    servicesOf: (path) => servicesOf(parse, path, project),
  })
  const { processes, notes } = set.draft()
  return {
    processes,
    notes: [
      ...notes,
      ...variables.notes,
      ...set.notesOnValues(dotenv, ENV_FILE),
      ...dotenvNotes(dotenv, variables),
      ...topLevelNotes(others, set.hasContainers),
      ...overrideNotes(file, project),
    ],
    ...(variables.used.size === 0 ? {} : { envFile: { path: ENV_FILE, required: false } }),
  }
}

type YamlParser = (text: string) => unknown

async function yamlParser(): Promise<YamlParser> {
  const { parse } = await import('yaml')
  return (text) => parse(text, { merge: true, logLevel: 'error' })
}

function readCompose(parse: YamlParser, text: string, file: string): ComposeFile {
  try {
    return composeSchema.parse(parse(text))
  } catch (error) {
    const reason = error instanceof z.ZodError ? 'it has no "services"' : messageOf(error)
    throw new UserError(`${file} is not a Compose file: ${reason}`, 2, { cause: error })
  }
}

/** Returns the services of another file, which a service extends; null if there is no such file. */
function servicesOf(parse: YamlParser, path: string, project: ProjectFolder): YamlObject | null {
  return project.has(path) ? readCompose(parse, project.read(path), path).services : null
}

/** Returns the name with which Compose marks volumes and containers. */
function projectName(name: unknown, folder: string, variables: ComposeVariables): string {
  const given = typeof name === 'string' ? variables.evaluate(name) : folder
  const allowed = given
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]/g, '')
    .replace(/^[_-]+/, '')
  return allowed === '' ? 'app' : allowed
}

/** Names the variables of `.env` whose values Compose would interpolate. */
function dotenvNotes(dotenv: Variables, variables: ComposeVariables): readonly string[] {
  const names = Object.keys(dotenv).filter(
    (name) => variables.used.has(name) && /\$[A-Za-z_{]/.test(dotenv[name] ?? ''),
  )
  if (names.length === 0) return []
  return [`${names.join(', ')} in ${ENV_FILE}: variables in their values are not replaced; write the result`]
}

function topLevelNotes(others: YamlObject, hasContainers: boolean): readonly string[] {
  const unused = Object.keys(others).filter((key) => {
    if (key.startsWith('x-')) return false
    return !silentKeys.includes(key) || (!hasContainers && (key === 'volumes' || key === 'secrets'))
  })
  const included = unused.includes('include') ? ` (for "include", ${mergeAdvice})` : ''
  return unused.length === 0 ? [] : [`not taken over: ${unused.join(', ')}${included}`]
}

const mergeAdvice = 'run "docker compose config --no-interpolate > merged.yaml" and use --from merged.yaml'

/** Names the file that Compose would merge over this one. */
function overrideNotes(file: string, project: ProjectFolder): readonly string[] {
  const [, stem] = /(?:^|\/)((?:docker-)?compose)\.ya?ml$/.exec(file) ?? []
  const found = ['yaml', 'yml'].map((ending) => `${stem}.override.${ending}`).find((name) => project.has(name))
  return stem === undefined || found === undefined ? [] : [`${found} was not read; to take it over, ${mergeAdvice}`]
}
