import { UNCHANGED } from '../../../src/postgres/replication/change.ts'

// Builds pgoutput messages in PostgreSQL's format.

/** Encodes one byte. */
export const u8 = (value: number): Buffer => Buffer.from([value])
/** Returns a letter that identifies the following part. */
export const tag = (letter: string): Buffer => Buffer.from(letter, 'latin1')
const i16 = (value: number): Buffer => {
  const buffer = Buffer.alloc(2)
  buffer.writeInt16BE(value)
  return buffer
}
/** Returns an unsigned 32-bit integer. */
export const u32 = (value: number): Buffer => {
  const buffer = Buffer.alloc(4)
  buffer.writeUInt32BE(value)
  return buffer
}
/** Returns an unsigned 64-bit integer. */
export const u64 = (value: bigint): Buffer => {
  const buffer = Buffer.alloc(8)
  buffer.writeBigUInt64BE(value)
  return buffer
}
/** Returns a zero-terminated string. */
export const text = (value: string): Buffer => Buffer.from(`${value}\0`)

/** A value of a row: text, null, or UNCHANGED for an unchanged large value. */
export type Cell = string | null | typeof UNCHANGED

function cell(value: Cell): Buffer {
  if (value === null) return tag('n')
  if (value === UNCHANGED) return tag('u')
  const bytes = Buffer.from(value)
  return Buffer.concat([tag('t'), u32(bytes.length), bytes])
}

const tuple = (cells: readonly Cell[]): Buffer => Buffer.concat([i16(cells.length), ...cells.map(cell)])

/** The table of a relation message. */
export interface Table {
  readonly oid: number
  readonly name: string
  readonly identity: 'd' | 'f'
  readonly columns: readonly { readonly name: string; readonly key: boolean; readonly type?: number }[]
}

/** Returns a relation message. */
export function relation({ oid, name, identity, columns }: Table): Buffer {
  const described = columns.map(({ name, key, type = 25 }) =>
    Buffer.concat([u8(key ? 1 : 0), text(name), u32(type), u32(0xffff_ffff)]),
  )
  return Buffer.concat([
    tag('R'),
    u32(oid),
    text('public'),
    text(name),
    tag(identity),
    i16(columns.length),
    ...described,
  ])
}

/** Returns an insert message. */
export const insert = (oid: number, cells: readonly Cell[]): Buffer =>
  Buffer.concat([tag('I'), u32(oid), tag('N'), tuple(cells)])

/** Returns an update message with the old row (`O`), the old key (`K`) or neither. */
export function update(oid: number, old: readonly Cell[] | null, kind: 'O' | 'K', cells: readonly Cell[]): Buffer {
  const before = old === null ? [] : [tag(kind), tuple(old)]
  return Buffer.concat([tag('U'), u32(oid), ...before, tag('N'), tuple(cells)])
}

/** Returns a delete message with the old row (`O`) or the old key (`K`). */
export const remove = (oid: number, kind: 'O' | 'K', cells: readonly Cell[]): Buffer =>
  Buffer.concat([tag('D'), u32(oid), tag(kind), tuple(cells)])
