import type { LogHistory } from '../supervisor/output/log-history.ts'
import type { ReloadAnswer, StatusAnswer } from './status.ts'

/** What can be asked of a running orchestrator; names are checked by who calls. */
export interface Controllable {
  readonly logs: LogHistory
  /** Of the file that is run; absolute. */
  readonly configPath: string
  /** Of all processes, instances included, in the order of the file. */
  readonly names: readonly string[]
  /** What a name of the file, or of an instance, means; nothing if there is none. */
  instancesNamed(name: string): readonly string[]
  status(): StatusAnswer
  /** Resolves when each of them is up, has ended, or has failed. */
  start(names: readonly string[]): Promise<void>
  /** They stay down, whatever their restart policy says, until they are started again. Resolves when they are down. */
  stop(names: readonly string[]): Promise<void>
  /** Down and up again, as soon as their dependencies allow it; resolves as `start` does. One that waits goes on waiting. */
  restart(names: readonly string[]): Promise<void>
  /** Reads the configuration again and applies the difference; throws an error for people if it is bad, and changes nothing. */
  reload(): Promise<ReloadAnswer>
  /** Stops everything, in order; the connection ends with the orchestrator. */
  down(): void
}
