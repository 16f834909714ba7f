import { posix } from 'node:path'
import { splitVariable } from './schema.ts'

/** A part of a YAML file. */
export type YamlObject = Readonly<Record<string, unknown>>

export function isObject(value: unknown): value is YamlObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

interface ExtendsOptions {
  /** Returns the services of another file; null if it cannot be read. */
  readonly servicesOf: (path: string) => YamlObject | null
  readonly note: (text: string) => void
}

interface ServicePlace {
  /** The path of the file relative to the project; empty for the file of the project. */
  readonly file: string
  readonly services: YamlObject
}

/** Returns a service with the keys of the services that it extends, in the same file or in another one. */
export function extendService(
  name: string,
  place: ServicePlace,
  options: ExtendsOptions,
  visited: readonly string[] = [],
): YamlObject {
  const found = place.services[name]
  const { extends: base, ...own } = isObject(found) ? found : {}
  if (base === undefined || base === null) return own
  const { file: path, service = name } = readBase(base)
  const file = path === undefined ? place.file : posix.join(posix.dirname(place.file), path)
  const services = path === undefined ? place.services : options.servicesOf(file)
  const id = `${file}#${String(service)}`
  const target = path === undefined ? String(service) : `${String(service)} of ${file}`
  if (visited.includes(id)) {
    options.note(`extends ${target} left out: the services extend each other`)
    return own
  }
  if (services === null || !isObject(services[String(service)])) {
    options.note(`extends ${target} left out: there is no such service`)
    return own
  }
  const extended = extendService(String(service), { file, services }, options, [...visited, id])
  const folder = posix.relative(posix.dirname(place.file), posix.dirname(file))
  return mergeServices(folder === '' ? extended : moveService(extended, folder), own)
}

function readBase(base: unknown): { readonly file?: string; readonly service?: unknown } {
  if (!isObject(base)) return { service: base }
  const { file, service } = base
  return { ...(typeof file === 'string' ? { file } : {}), ...(service === undefined ? {} : { service }) }
}

/** Keys that a list or a text replaces as a whole. */
const replaced = new Set(['command', 'entrypoint', 'test'])

/** Merges as Compose does: objects by key, lists one after the other, other values replace. */
function mergeServices(base: YamlObject, own: YamlObject): YamlObject {
  const merged: Record<string, unknown> = { ...base }
  for (const [key, value] of Object.entries(own)) {
    merged[key] = value === null && key in base ? base[key] : mergeValues(key, base[key], value)
  }
  return merged
}

function mergeValues(key: string, base: unknown, own: unknown): unknown {
  if (base === undefined || base === null || replaced.has(key)) return own
  const [first, second] = [normalize(key, base), normalize(key, own)]
  if (isObject(first) && isObject(second)) return mergeServices(first, second)
  if (Array.isArray(first) && Array.isArray(second)) {
    const known = new Set(first.map((item) => JSON.stringify(item)))
    return [...first, ...second.filter((item) => !known.has(JSON.stringify(item)))]
  }
  return own
}

/** Converts the short forms of the keys that have several. */
function normalize(key: string, value: unknown): unknown {
  if (key === 'build' && typeof value === 'string') return { context: value }
  if (key === 'env_file' || key === 'tmpfs') return [value].flat()
  if (!Array.isArray(value)) return value
  if (key === 'environment') return Object.fromEntries(value.map((entry) => splitVariable(String(entry))))
  if (key === 'depends_on') return Object.fromEntries(value.map((name) => [String(name), {}]))
  return value
}

/** Makes the paths of a service of another file relative to the project. */
function moveService(service: YamlObject, folder: string): YamlObject {
  const move = (path: unknown) => (typeof path === 'string' && !path.startsWith('/') ? posix.join(folder, path) : path)
  const moveKey = (value: unknown, key: string) => (isObject(value) ? { ...value, [key]: move(value[key]) } : value)
  const moved: Record<string, unknown> = { ...service }
  const { build, env_file: files, develop, volumes } = service
  if (typeof build === 'string') moved['build'] = move(build)
  else if (isObject(build)) moved['build'] = { ...build, context: move(build['context'] ?? '.') }
  if (files !== undefined) {
    moved['env_file'] = [files].flat().map((file) => (isObject(file) ? moveKey(file, 'path') : move(file)))
  }
  if (isObject(develop) && Array.isArray(develop['watch'])) {
    moved['develop'] = { ...develop, watch: develop['watch'].map((rule) => moveKey(rule, 'path')) }
  }
  if (Array.isArray(volumes)) {
    const moveVolume = (volume: unknown) => {
      if (isObject(volume)) return volume['type'] === 'bind' ? moveKey(volume, 'source') : volume
      return typeof volume === 'string' && volume.startsWith('.') ? `./${String(move(volume))}` : volume
    }
    moved['volumes'] = volumes.map(moveVolume)
  }
  return moved
}
