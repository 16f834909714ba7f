import type { ProbeCheck } from '../../config/resolved.ts'
import { groupMembers, relationsOf, taggedProcesses } from '../system/process-table.ts'
import { ownersOf, socketsOf } from '../system/proc.ts'
import { checkTcpSocket } from './checks.ts'
import { type Listener, readListeners, sharedListeners } from './listeners.ts'
import { listenersAt, type LocalPort, localPortOf } from './local-port.ts'
import type { Check } from './poll.ts'

/** The processes of one child: its process group, and the descendants with its run tag. */
export interface ChildTree {
  readonly group: number
  /** `RUN/PROCESS/NUMBER`, where NUMBER counts the children of the process. */
  readonly runTag: string
}

/** A program that had the port of a probe before the child started. */
export interface PortOccupant {
  readonly port: number
  /** Such as `pid 4711 (node)`, or `a process of user 0`. */
  readonly owner: string
}

/** The answer at a contested port comes from another program. */
interface Foreign {
  readonly occupant: PortOccupant
  /** True for what an earlier child of the same process left: it is being ended. */
  readonly isLeftover: boolean
}

/** Watches a port that another program had before the child started. */
export interface PortWatch {
  /** Resolves with the program that answers at the port; null if it is the child, so that the answer counts. */
  foreign(): Promise<Foreign | null>
  /** Records that a connection was refused. */
  refused(): void
}

/** The listening sockets of this machine; null if the system does not reveal them. */
interface SocketTable {
  atStart(): readonly Listener[] | null
  now(): readonly Listener[] | null
}

const SYSTEM_SOCKETS: SocketTable = { atStart: sharedListeners, now: readListeners }

/**
 * Returns a watch if the port of a readiness probe may be in use by another program; null if the port is free, so that a later
 * listener counts: the child, its daemon, or a container that it started. Call it when the child starts.
 */
export function watchPort(check: ProbeCheck, tree: ChildTree, sockets: SocketTable = SYSTEM_SOCKETS): PortWatch | null {
  const local = localPortOf(check)
  if (local === null) return null
  const listeners = sockets.atStart()
  if (listeners === null) return new RefusalWatch(local)
  const before = listenersAt(local, listeners)
  return before.length === 0 ? null : new OwnerWatch(local, before, tree, sockets)
}

/** Returns a check that fails while another program answers it. `onOccupied` is called once. */
export function countOwnAnswers(check: Check, watch: PortWatch, onOccupied: (occupant: PortOccupant) => void): Check {
  let isReported = false
  return async (signal) => {
    await check(signal).catch((error: unknown) => {
      if (error instanceof Error && error.message === 'connection refused') watch.refused()
      throw error
    })
    const foreign = await watch.foreign()
    if (foreign === null || signal.aborted) return
    const { occupant, isLeftover } = foreign
    if (!isReported && !isLeftover) {
      isReported = true
      onOccupied(occupant)
    }
    throw new Error(`answered by ${occupant.owner}, which had the port before`)
  }
}

/** The limit of the connection that finds out whether a port is in use. */
const CONNECT_TIMEOUT_MS = 1000

/** Compares the owner of the listening socket with the processes of the child. */
class OwnerWatch implements PortWatch {
  readonly #local: LocalPort
  readonly #before: ReadonlySet<string>
  readonly #tree: ChildTree
  readonly #sockets: SocketTable
  #isOwn = false
  /** The owners of the sockets with these inodes, because finding them is costly. */
  #known: { readonly inodes: string; readonly owners: ReadonlyMap<string, number> } | null = null

  constructor(local: LocalPort, before: readonly Listener[], tree: ChildTree, sockets: SocketTable) {
    this.#local = local
    this.#before = new Set(before.map(({ inode }) => inode))
    this.#tree = tree
    this.#sockets = sockets
  }

  // oxlint-disable-next-line typescript/require-await -- the other watch awaits a connection
  async foreign(): Promise<Foreign | null> {
    if (this.#isOwn) return null
    const sockets = listenersAt(this.#local, this.#sockets.now() ?? [])
    const { runTag, group } = this.#tree
    const tagged = taggedProcesses(runTag.slice(0, runTag.lastIndexOf('/') + 1))
    const own = tagged.filter((found) => found.runTag === runTag).map(({ pid }) => pid)
    this.#isOwn = [...groupMembers(group), ...own].some((pid) => hasSocket(pid, sockets))
    if (this.#isOwn) return null
    const owners = this.#ownersOf(sockets)
    // A socket that was opened since, by a process that cannot be inspected, such as docker-proxy.
    if (sockets.some(({ inode }) => !this.#before.has(inode) && !owners.has(inode))) return null
    const pids = new Set(owners.values())
    return {
      occupant: { port: this.#local.port, owner: describeOwner(sockets, owners) },
      isLeftover: tagged.some(({ pid }) => pids.has(pid)),
    }
  }

  refused(): void {}

  #ownersOf(sockets: readonly Listener[]): ReadonlyMap<string, number> {
    const inodes = sockets.map(({ inode }) => inode).join()
    if (this.#known?.inodes !== inodes) {
      this.#known = { inodes, owners: ownersOf(new Set(sockets.map(({ inode }) => inode))) }
    }
    return this.#known.owners
  }
}

function hasSocket(pid: number, sockets: readonly Listener[]): boolean {
  const open = socketsOf(pid)
  return sockets.some(({ inode }) => open.has(inode))
}

function describeOwner(sockets: readonly Listener[], owners: ReadonlyMap<string, number>): string {
  const [pid] = sockets.flatMap(({ inode }) => owners.get(inode) ?? [])
  const [socket] = sockets
  if (pid === undefined)
    return socket === undefined ? 'a program that has ended since' : `a process of user ${socket.uid}`
  const program = relationsOf(pid)?.program
  return program === undefined ? `pid ${pid}` : `pid ${pid} (${program})`
}

/** Without a table of sockets: answers count when the port was free at the start, or a connection was refused since. */
class RefusalWatch implements PortWatch {
  readonly #port: number
  readonly #wasTaken: Promise<boolean>
  #wasRefused = false

  constructor({ port, addresses }: LocalPort) {
    this.#port = port
    const signal = AbortSignal.timeout(CONNECT_TIMEOUT_MS)
    const attempts = addresses.map((address) =>
      checkTcpSocket(address, port, signal).then(
        () => true,
        () => false,
      ),
    )
    this.#wasTaken = Promise.all(attempts).then((results) => results.includes(true))
  }

  async foreign(): Promise<Foreign | null> {
    if (!(await this.#wasTaken) || this.#wasRefused) return null
    const occupant = { port: this.#port, owner: 'a process that this system does not reveal' }
    return { occupant, isLeftover: false }
  }

  refused(): void {
    this.#wasRefused = true
  }
}
