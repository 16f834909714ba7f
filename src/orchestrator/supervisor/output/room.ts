/** A place that lines go to, which may be full for a while. */
export interface Room {
  readonly isFull: boolean
  /** Calls `resume` once, as soon as there is room again. */
  whenRoom(resume: () => void): void
}

/** Full as long as one of them is. */
export function roomInAll(rooms: readonly Room[]): Room {
  const firstFull = () => rooms.find((room) => room.isFull)
  return {
    get isFull() {
      return firstFull() !== undefined
    },
    whenRoom: (resume) => {
      const full = firstFull()
      if (full === undefined) resume()
      else full.whenRoom(resume)
    },
  }
}
