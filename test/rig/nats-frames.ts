/** Cuts what NATS, or a client of it, sends into whole messages of its protocol. */
export class FrameSplitter {
  #rest: Buffer = Buffer.alloc(0)

  split(bytes: Buffer): readonly Buffer[] {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    const frames: Buffer[] = []
    for (;;) {
      const line = this.#rest.indexOf('\r\n')
      if (line === -1) return frames
      const header = this.#rest.toString('latin1', 0, line)
      const body = /^H?(?:MSG|PUB) .* (\d+)$/.exec(header)
      const end = line + 2 + (body === null ? 0 : Number(body[1]) + 2)
      if (this.#rest.length < end) return frames
      frames.push(this.#rest.subarray(0, end))
      this.#rest = this.#rest.subarray(end)
    }
  }
}
