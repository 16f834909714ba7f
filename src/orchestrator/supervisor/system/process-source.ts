/** An entry of the process table. */
export interface ProcessInfo {
  readonly pid: number
  readonly parent: number
  readonly group: number
  /** One letter, as in ps: `Z` means zombie. */
  readonly status: string
  /** True if its process group is in the foreground of its terminal. */
  readonly isInForeground: boolean
  /** The start time, which distinguishes the process from a later process with the same pid. Its unit depends on the source. */
  readonly start: string
  readonly cpuMs: number
  /** Resident memory. */
  readonly memoryBytes: number
  /** The name of the program, without its folder; may be cut to 15 bytes. */
  readonly program: string
}

/** Where the process table comes from. */
export interface ProcessSource {
  /** False if the system may hide the environment of a process, and with it the run tag. */
  readonly seesAllTags: boolean
  /** Returns all processes, or those among `pids`. */
  list(pids?: readonly number[]): readonly ProcessInfo[]
  /** Returns the processes with this environment variable and a value that begins with `prefix`, and the value. */
  withVariable(name: string, prefix: string): readonly { readonly pid: number; readonly value: string }[]
  /** Returns the command line of a process; empty if it is gone. */
  commandLine(pid: number): readonly string[]
}
