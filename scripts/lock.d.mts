export interface LockOptions {
  /** Called once with the id of the process that holds the lock; returns whether to wait, which is the default. */
  onHeld?(pid: number): boolean
  readonly signal?: AbortSignal | undefined
}

/** Acquires the lock of a folder, even if its holder has ended; the result releases it. Undefined if `onHeld` returns false. */
export function lock(folder: string, options?: LockOptions): Promise<(() => Promise<void>) | undefined>
