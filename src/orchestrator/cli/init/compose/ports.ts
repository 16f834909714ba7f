import type { Service } from './schema.ts'
import type { ComposeVariables } from './variables.ts'

/** One port of a container. */
interface PortMapping {
  readonly target: number
  /** The port of the machine, which can contain variables; null if Docker chooses it. */
  readonly published: string | null
  /** The address of the machine at which clients reach the port. */
  readonly address: string
}

/** An entry of `ports`. */
export interface PublishedPorts {
  /** The entry in the short form, with the variables of the configuration file. */
  readonly text: string
  /** Its TCP ports; empty if they cannot be known. */
  readonly mappings: readonly PortMapping[]
}

const variable = String.raw`\$\{[^}]*\}|\$\w+`
const shortForm = new RegExp(
  String.raw`^(?:(\[[^\]]+\]|\d+\.\d+\.\d+\.\d+):)?(?:((?:${variable}|[\d-])*):)?((?:${variable}|[\d-])+)(?:/(\w+))?$`,
)

/** Reads `ports` of a service. */
export function portsOf({ ports = [] }: Service, variables: ComposeVariables): readonly PublishedPorts[] {
  return ports.map((port) => {
    const text = typeof port === 'object' ? shortFormOf(port) : String(port)
    const [, address, published = '', target = '', protocol = 'tcp'] = shortForm.exec(text) ?? []
    const mappings = protocol === 'tcp' ? mappingsOf({ address, published, target }, variables) : []
    return { text: variables.forFile(text), mappings }
  })
}

function shortFormOf(port: Exclude<NonNullable<Service['ports']>[number], string | number>): string {
  const { host_ip: address, published = '', target = '', protocol } = port
  const host = address === undefined ? (published === '' ? '' : `${published}:`) : `${address}:${published}:`
  return `${host}${target}${protocol === undefined || protocol === 'tcp' ? '' : `/${protocol}`}`
}

/** The largest range of ports that is looked at. */
const MAX_PORTS = 1000

interface PortTexts {
  readonly address: string | undefined
  readonly published: string
  readonly target: string
}

function mappingsOf({ address, published, target }: PortTexts, variables: ComposeVariables): readonly PortMapping[] {
  const targets = portRange(variables.evaluate(target))
  const isEverywhere = address === undefined || address === '0.0.0.0' || address === '[::]'
  const at = isEverywhere ? '127.0.0.1' : address
  if (targets.length === 1) {
    return targets.map((port) => ({
      target: port,
      published: published === '' ? null : variables.forFile(published),
      address: at,
    }))
  }
  const hostPorts = portRange(variables.evaluate(published))
  if (hostPorts.length !== targets.length) return []
  return targets.map((port, index) => ({ target: port, published: String(hostPorts[index]), address: at }))
}

/** Returns the ports of `80` or `80-90`; none if the text is neither. */
function portRange(text: string): readonly number[] {
  const [, first, last = first] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? []
  const count = Number(last) - Number(first) + 1
  return count >= 1 && count <= MAX_PORTS ? Array.from({ length: count }, (_, index) => Number(first) + index) : []
}

/** The ports of well-known servers, by a part of the name of their image. */
const serverPorts: readonly (readonly [RegExp, number])[] = [
  [/postg|pgvector|timescale/, 5432],
  [/mysql|mariadb/, 3306],
  [/redis|valkey/, 6379],
  [/mongo/, 27_017],
  [/rabbitmq/, 5672],
  [/nats/, 4222],
  [/memcached/, 11_211],
  [/minio/, 9000],
  [/elasticsearch|opensearch/, 9200],
  [/clickhouse/, 8123],
]

/** Returns the port at which clients reach a server: the one that it exposes, or the one that is usual; null if neither is known. */
export function serverPort({ image = '', expose = [] }: Service): number | null {
  const [port] = expose.flatMap((text) => portRange(String(text).replace(/\/tcp$/, '')))
  return port ?? serverPorts.find(([pattern]) => pattern.test(image.replace(/:.*/, '')))?.[1] ?? null
}
