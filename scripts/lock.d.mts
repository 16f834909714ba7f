export interface LockOptions {
  /** Called once if somebody else has it, with that process's id; false: give up. Default: wait. */
  onHeld?(pid: number): boolean
  readonly signal?: AbortSignal | undefined
}

/** Takes the lock of a folder; the result releases it. Undefined if `onHeld` gave up. A dead holder's lock is taken over. */
export function lock(folder: string, options?: LockOptions): Promise<(() => Promise<void>) | undefined>
