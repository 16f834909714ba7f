/** A position in the write-ahead log, in bytes. 64 bits: a number would lose the low ones on an old cluster. */
export type Lsn = bigint

/** No position: asks the server to start where the slot stands. */
export const ZERO_LSN: Lsn = 0n

const PATTERN = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/

/** As PostgreSQL writes it: `16/B374D848`. */
export function formatLsn(lsn: Lsn): string {
  const high = (lsn >> 32n).toString(16)
  const low = (lsn & 0xffff_ffffn).toString(16)
  return `${high}/${low}`.toUpperCase()
}

/** The position that PostgreSQL wrote; throws a RangeError for any other text. */
export function parseLsn(text: string): Lsn {
  const match = PATTERN.exec(text)
  const [, high, low] = match ?? []
  if (high === undefined || low === undefined) throw new RangeError(`not a WAL position: ${JSON.stringify(text)}`)
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`)
}
