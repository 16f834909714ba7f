const WARN_SHARE = 0.8
const END_SHARE = 0.7

/** Detects that the used share of a limit reaches 80 %, once until it falls below 70 %. */
export class LimitWatch {
  #reached = false

  /** Returns whether the share has reached 80 % since the previous call. */
  reaches(share: number): boolean {
    const before = this.#reached
    this.#reached = share >= (before ? END_SHARE : WARN_SHARE)
    return this.#reached && !before
  }
}
