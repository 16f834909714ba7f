import { parser } from 'mqtt-packet'
import { TcpProxy, type ProxiedLink, type ProxyPassage } from '../tcp-proxy.ts'
import type { GatewayRig } from './gateway-rig.ts'
import type { RunningService } from './running-service.ts'

const redirectedPort = new URL('../services/redirected-port.mjs', import.meta.url).href

/** A connection of an instance to the broker, from its CONNECT to its DISCONNECT or its end. */
interface Connection {
  readonly instance: FleetInstance
  readonly clientId: string
}

/** A gateway of a connection, from its SUBSCRIBE. */
interface Session {
  readonly instance: FleetInstance
  /** Another instance connected while this one was paused: the broker has closed the connection. */
  superseded: boolean
}

/** Records at the broker which instance serves which gateway, and which instance publishes for it. */
class ServiceRecorder {
  readonly violations: string[] = []
  readonly #connections = new Set<Connection>()
  readonly #sessions = new Map<string, Set<Session>>()
  /** The time since when no instance serves a gateway. */
  readonly #unserved = new Map<string, number>()
  #longestGapMs = 0

  /** Returns the longest time for which a gateway was not served since the last call, in milliseconds. */
  takeLongestGap(): number {
    const longest = this.#longestGapMs
    this.#longestGapMs = 0
    return longest
  }

  /** Notes which gateways are served now. Call it when an instance is paused or resumed. */
  note(gatewayIds: Iterable<string> = this.#sessions.keys()): void {
    for (const gatewayId of gatewayIds) {
      const since = this.#unserved.get(gatewayId)
      if (this.#servers(gatewayId).length === 0) {
        if (since === undefined) this.#unserved.set(gatewayId, performance.now())
      } else if (since !== undefined) {
        this.#longestGapMs = Math.max(this.#longestGapMs, performance.now() - since)
        this.#unserved.delete(gatewayId)
      }
    }
  }

  /** The broker closes any other connection of the client id before it answers. */
  connected(instance: FleetInstance, clientId: string): Connection {
    for (const other of this.#connections) {
      if (other.clientId !== clientId || other.instance === instance || other.instance.cannotRenew) continue
      this.#report(`${instance.name} takes the session ${clientId} from ${other.instance.name}`)
    }
    const connection = { instance, clientId }
    this.#connections.add(connection)
    return connection
  }

  disconnected(connection: Connection): void {
    this.#connections.delete(connection)
  }

  opened(instance: FleetInstance, gatewayId: string): Session {
    for (const session of this.#others(instance, gatewayId)) {
      if (!session.instance.isPaused) this.#report(`${instance.name} and ${session.instance.name} serve ${gatewayId}`)
      session.superseded = true
    }
    const session = { instance, superseded: false }
    const sessions = this.#sessions.get(gatewayId) ?? new Set()
    this.#sessions.set(gatewayId, sessions.add(session))
    this.note([gatewayId])
    return session
  }

  closed(session: Session, gatewayId: string): void {
    this.#sessions.get(gatewayId)?.delete(session)
    this.note([gatewayId])
  }

  published(instance: FleetInstance, gatewayId: string): void {
    for (const other of this.#others(instance, gatewayId))
      this.#report(`${instance.name} publishes for ${gatewayId}, which ${other.instance.name} serves`)
  }

  /** Returns the names of the instances that serve each gateway. */
  served(): ReadonlyMap<string, readonly string[]> {
    return new Map([...this.#sessions.keys()].map((gatewayId) => [gatewayId, this.#servers(gatewayId)]))
  }

  #servers(gatewayId: string): readonly string[] {
    const sessions = [...(this.#sessions.get(gatewayId) ?? [])]
    const own = sessions.filter(({ superseded, instance }) => !superseded && !instance.isPaused)
    return own.map(({ instance }) => instance.name)
  }

  #others(instance: FleetInstance, gatewayId: string): readonly Session[] {
    const sessions = [...(this.#sessions.get(gatewayId) ?? [])]
    return sessions.filter((session) => session.instance !== instance && !session.superseded)
  }

  #report(violation: string): void {
    this.violations.push(violation)
  }
}

/** An instance whose connections to NATS and to the broker pass proxies of its own. */
export class FleetInstance implements AsyncDisposable {
  readonly name: string
  readonly #recorder: ServiceRecorder
  readonly #proxies: TcpProxy[] = []
  #service: RunningService | undefined
  #isCut = false
  isPaused = false

  constructor(name: string, recorder: ServiceRecorder) {
    this.name = name
    this.#recorder = recorder
  }

  async start(rig: GatewayRig, leaseMs: number): Promise<void> {
    const nats = await TcpProxy.start(rig.nats.url, (link) => this.#joinNats(link))
    const mqtt = await TcpProxy.start(rig.brokerUrl, (link) => this.#joinMqtt(link))
    this.#proxies.push(nats, mqtt)
    this.#service = await rig.serve({
      PONIX_GATEWAY_ORCHESTRATOR_LEASES: 'on',
      PONIX_GATEWAY_ORCHESTRATOR_LEASE_SECS: String(leaseMs / 1000),
      PONIX_NATS_URL: `nats://127.0.0.1:${nats.port}`,
      NODE_OPTIONS: `--import=${redirectedPort}`,
      REDIRECTED_PORT: `${rig.mqtt.port}:${mqtt.port}`,
    })
  }

  get service(): RunningService {
    if (this.#service === undefined) throw new Error(`${this.name} was not started`)
    return this.#service
  }

  /** Whether its leases expire, so that another instance may take the sessions that it still has. */
  get cannotRenew(): boolean {
    return this.isPaused || this.#isCut
  }

  pause(): void {
    this.isPaused = true
    this.service.signal('SIGSTOP')
    this.#recorder.note()
  }

  resume(): void {
    this.service.signal('SIGCONT')
    this.isPaused = false
    this.#recorder.note()
  }

  /** Nothing reaches NATS or arrives from it, and no connection ends. */
  cutNats(): void {
    this.#isCut = true
  }

  healNats(): void {
    this.#isCut = false
    this.#proxies[0]?.cut()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const proxy of this.#proxies) await proxy[Symbol.asyncDispose]()
  }

  #joinNats(link: ProxiedLink): ProxyPassage {
    return {
      fromClient: (bytes) => {
        if (this.#isCut) return
        for (const [, device] of bytes.toString('latin1').matchAll(/PUB raw_envelopes\.(\S+)/g)) {
          if (device !== undefined) this.#recorder.published(this, device)
        }
        link.toServer(bytes)
      },
      fromServer: (bytes) => {
        if (!this.#isCut) link.toClient(bytes)
      },
    }
  }

  #joinMqtt(link: ProxiedLink): ProxyPassage {
    const sessions = new Map<string, Session>()
    let connection: Connection | undefined
    const disconnect = (): void => {
      if (connection !== undefined) this.#recorder.disconnected(connection)
    }
    const sent = parser().on('packet', (packet) => {
      if (packet.cmd === 'connect') connection = this.#recorder.connected(this, packet.clientId)
      else if (packet.cmd === 'disconnect') disconnect()
      else if (packet.cmd === 'subscribe') this.#join(sessions, packet.subscriptions)
    })
    return {
      fromClient: (bytes) => {
        sent.parse(bytes)
        link.toServer(bytes)
      },
      fromServer: (bytes) => link.toClient(bytes),
      closed: () => {
        disconnect()
        for (const [gatewayId, session] of sessions) this.#recorder.closed(session, gatewayId)
      },
    }
  }

  /** Notes the gateways of these subscriptions; the topic of each gateway contains its id. */
  #join(sessions: Map<string, Session>, subscriptions: readonly { readonly topic: string }[]): void {
    for (const { topic } of subscriptions) {
      const gatewayId = topic.replace('o1/', '')
      if (!sessions.has(gatewayId)) sessions.set(gatewayId, this.#recorder.opened(this, gatewayId))
    }
  }
}

/** Several instances that share gateways. */
export class GatewayFleet implements AsyncDisposable {
  readonly recorder = new ServiceRecorder()
  readonly #rig: GatewayRig
  readonly #leaseMs: number
  readonly #all: FleetInstance[] = []
  #live: readonly FleetInstance[] = []

  /** `leaseMs`: the time in which the gateways of an instance that died run elsewhere. */
  constructor(rig: GatewayRig, leaseMs: number) {
    this.#rig = rig
    this.#leaseMs = leaseMs
  }

  get live(): readonly FleetInstance[] {
    return this.#live
  }

  async add(count: number): Promise<void> {
    const added = Array.from({ length: count }, () => this.#create())
    await Promise.all(added.map((instance) => instance.start(this.#rig, this.#leaseMs)))
    this.#live = [...this.#live, ...added]
  }

  async kill(instances: readonly FleetInstance[]): Promise<void> {
    this.#live = this.#live.filter((instance) => !instances.includes(instance))
    await Promise.all(instances.map(({ service }) => service.kill()))
  }

  /** Rejects unless the exit code is 0. */
  async stop(instance: FleetInstance): Promise<void> {
    this.#live = this.#live.filter((other) => other !== instance)
    const code = await instance.service.stop()
    if (code !== 0) throw new Error(`${instance.name} ended with ${code}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const instance of this.#all) await instance[Symbol.asyncDispose]()
  }

  #create(): FleetInstance {
    const instance = new FleetInstance(`instance ${this.#all.length}`, this.recorder)
    this.#all.push(instance)
    return instance
  }
}
