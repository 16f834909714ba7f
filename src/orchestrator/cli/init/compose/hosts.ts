import type { PublishedPorts } from './ports.ts'

/** A service as others reach it by its name. */
export interface HostService {
  /** Other names of the service, such as its `container_name`. */
  readonly aliases: readonly string[]
  /** Where it runs from now on: as a process, as a container of the supervisor, or still in Compose. */
  readonly place: 'process' | 'container' | 'compose'
  readonly replicas: number
  readonly ports: readonly PublishedPorts[]
  /** The port at which clients reach it; null if it is not known. */
  readonly port: number | null
}

export interface RewrittenText {
  readonly text: string
  /** What was replaced, such as `db:5432 became 127.0.0.1:5432`. */
  readonly changes: readonly string[]
  /** The services that the text still names, perhaps as hosts. */
  readonly remaining: readonly string[]
}

/** The ports of URLs without one. */
const defaultPorts: Readonly<Record<string, number>> = {
  amqp: 5672,
  amqps: 5671,
  http: 80,
  https: 443,
  mongodb: 27_017,
  mqtt: 1883,
  mysql: 3306,
  nats: 4222,
  postgres: 5432,
  postgresql: 5432,
  redis: 6379,
  rediss: 6379,
  ws: 80,
  wss: 443,
}

/** The first port that is no longer likely to be the version of an image, as in `postgres:16`. */
const MIN_PLAIN_PORT = 1000

/** Replaces the host names of services, which exist only in the network of Compose. */
export class ServiceHosts {
  readonly #services: ReadonlyMap<string, HostService>
  readonly #names = new Map<string, string>()
  readonly #usedPorts = new Set<number>()
  /** The ports of containers that must be published, by service: from the port of the container to that of the machine. */
  readonly #added = new Map<string, Map<number, number>>()
  readonly #url: RegExp
  readonly #plain: RegExp
  readonly #mention: RegExp

  constructor(services: ReadonlyMap<string, HostService>) {
    this.#services = services
    for (const [name, { aliases, ports, place }] of services) {
      for (const alias of [name, ...aliases]) this.#names.set(alias, name)
      for (const { target, published } of ports.flatMap(({ mappings }) => mappings)) {
        this.#usedPorts.add(place === 'process' ? target : Number(published))
      }
    }
    const name = Array.from(this.#names.keys(), (text) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`))
      .toSorted((a, b) => b.length - a.length)
      .join('|')
    const end = String.raw`(?=[/?#,;\s"'\x60)}]|$)`
    const user = String.raw`(?:(?:\$\{[^}]*\}|[^\s/@?#"'{}])*@)?`
    this.#url = new RegExp(
      String.raw`((?:[A-Za-z][A-Za-z0-9+.-]*:)?([A-Za-z][A-Za-z0-9+.-]*):\/\/${user})(${name})(?::(\d{1,5}))?${end}`,
      'g',
    )
    this.#plain = new RegExp(String.raw`(^|[=,]|:-|\btcp\()(${name}):(\d{1,5})(?=$|[,)}/])`, 'g')
    this.#mention = new RegExp(
      String.raw`^(${name})$|(?:[/@,(\s=]|:-)(${name}):(?:\d|\$)|^(${name}):(?:\d{2,5}$|\$\{)|:\/\/${user}(${name})(?![\w.-])|\b(?:host|server)=(${name})(?![\w.-])`,
      'g',
    )
  }

  /** Returns the ports of a container that processes use but that `ports` does not publish, in the form of `-p`. */
  addedPorts(service: string): readonly string[] {
    return Array.from(this.#added.get(service) ?? [], ([target, published]) => `127.0.0.1:${published}:${target}`)
  }

  /** Replaces the hosts in URLs, and `HOST:PORT` as a whole value or in a list. */
  rewrite(text: string): RewrittenText {
    if (this.#names.size === 0) return { text, changes: [], remaining: [] }
    const changes: string[] = []
    const replace = (name: string, port: string | undefined, byDefault: number | undefined): string | null => {
      const wanted = port === undefined ? byDefault : Number(port)
      const address = wanted === undefined ? null : this.#address(name, wanted)
      if (address === null) return null
      const shown = port === undefined ? name : `${name}:${port}`
      const isDefault = port === undefined && address.endsWith(`:${byDefault}`)
      const result = isDefault ? address.slice(0, address.lastIndexOf(':')) : address
      changes.push(`${shown} became ${result}`)
      return result
    }
    const withUrls = text.replaceAll(
      this.#url,
      (found: string, front: string, scheme: string, name: string, port?: string) => {
        const replaced = replace(name, port, defaultPorts[scheme.toLowerCase()])
        return replaced === null ? found : front + replaced
      },
    )
    const result = withUrls.replaceAll(this.#plain, (found: string, front: string, name: string, port: string) => {
      const replaced = this.#isPort(name, Number(port)) ? replace(name, port, undefined) : null
      return replaced === null ? found : front + replaced
    })
    return { text: result, changes, remaining: this.mentioned(result) }
  }

  /** Returns the services that a text names where a host can stand. */
  mentioned(text: string): readonly string[] {
    if (this.#names.size === 0) return []
    const names = [...text.matchAll(this.#mention)].flatMap((match) =>
      match.slice(1).filter((name) => name !== undefined),
    )
    return [...new Set(names.flatMap((name) => this.#names.get(name) ?? []))]
  }

  /** Returns the advice about a service that a text still names; its port is published from now on. */
  advice(service: string): string {
    const { place = 'process', port = null } = this.#services.get(service) ?? {}
    const [host = '127.0.0.1', published] =
      (port === null ? null : this.#address(service, port))?.split(/:(?=[^}]*$)/) ?? []
    const moved = published === undefined || published === `${port}` ? '' : ` and the port ${published}`
    const isUnknown = place !== 'process' && published === undefined
    const publish = isUnknown ? `, and publish its port with ${place === 'container' ? '"-p"' : '"ports"'}` : ''
    return `${service} is the name of a service; if it is a host here, write ${host}${moved}${publish}`
  }

  #isPort(name: string, port: number): boolean {
    const { ports = [] } = this.#services.get(this.#names.get(name) ?? '') ?? {}
    return port >= MIN_PLAIN_PORT || ports.some(({ mappings }) => mappings.some(({ target }) => target === port))
  }

  /** Returns where processes reach a port of a service; null if that is not certain. */
  #address(alias: string, port: number): string | null {
    const name = this.#names.get(alias) ?? ''
    const service = this.#services.get(name)
    if (service === undefined) return null
    if (service.place === 'process') return service.replicas > 1 ? null : `127.0.0.1:${port}`
    const mapping = service.ports
      .flatMap(({ mappings }) => mappings)
      .find(({ target, published }) => target === port && published !== null)
    if (mapping !== undefined) return `${mapping.address}:${mapping.published}`
    return service.place === 'container' ? `127.0.0.1:${this.#addPort(name, port)}` : null
  }

  #addPort(service: string, target: number): number {
    const added = this.#added.get(service) ?? new Map<number, number>()
    this.#added.set(service, added)
    let port = added.get(target) ?? target
    if (!added.has(target)) while (this.#usedPorts.has(port)) port += 1
    added.set(target, port)
    this.#usedPorts.add(port)
    return port
  }
}
