import { escapeIdentifier, escapeLiteral } from 'pg'
import { z } from 'zod'
import { ReplicationError } from '../../domain/errors.ts'
import type { Queryable } from './publication.ts'
import { attempt } from './replication-error.ts'

/** A slot and the publication whose comment remembers it. */
export interface SlotName {
  readonly slot: string
  readonly publication: string
}

const snapshotProgress = z.object({
  /** Names the snapshot in the ids of its messages. */
  id: z.string(),
  /** Tables that are stored completely, as `public.gateways`. */
  done: z.array(z.string()).readonly(),
  /** The table that is stored in part, and the key of the last row of it. */
  partly: z.object({ table: z.string(), after: z.string() }).nullable(),
})

/** How far a snapshot has come: everything named here is stored. */
export type SnapshotProgress = Readonly<z.infer<typeof snapshotProgress>>

/**
 * What the publication's comment remembers of a slot. It is changed with the database and restored with it, and needs no
 * table. `known`: the slot was there once. `snapshot`: one is due, or was begun and is not complete.
 */
export interface SlotMemory {
  readonly known: boolean
  readonly snapshot: SnapshotProgress | null
}

/** Throws a ReplicationError. */
export async function readSlotMemory(database: Queryable, name: SlotName): Promise<SlotMemory> {
  const comment = await readComment(database, name)
  const [, written] = snapshotPattern(name).exec(comment) ?? []
  return { known: comment.includes(slotMark(name)), snapshot: written === undefined ? null : decode(name, written) }
}

/** From now on the slot's absence is a loss. */
export async function rememberSlot(database: Queryable, name: SlotName): Promise<void> {
  await editComment(database, name, (comment) => `${comment.replaceAll(slotMark(name), '')} ${slotMark(name)}`)
}

/** The slot may be made anew. */
export async function forgetSlot(database: Queryable, name: SlotName): Promise<void> {
  await editComment(database, name, (comment) => comment.replaceAll(slotMark(name), ''))
}

/** Null when no snapshot is due any more. */
export async function rememberSnapshot(
  database: Queryable,
  name: SlotName,
  progress: SnapshotProgress | null,
): Promise<void> {
  const mark = progress === null ? '' : `[snapshot ${name.slot} ${encode(progress)}]`
  await editComment(database, name, (comment) => `${comment.replace(snapshotPattern(name), '')} ${mark}`)
}

function slotMark({ slot }: SlotName): string {
  return `[slot ${slot}]`
}

/** The names of slots are lower-case letters, digits and _. */
function snapshotPattern({ slot }: SlotName): RegExp {
  return new RegExp(`\\[snapshot ${slot} ([A-Za-z0-9_-]*)\\]`)
}

function encode(progress: SnapshotProgress): string {
  return Buffer.from(JSON.stringify(progress)).toString('base64url')
}

function decode({ slot, publication }: SlotName, written: string): SnapshotProgress {
  try {
    return snapshotProgress.parse(JSON.parse(Buffer.from(written, 'base64url').toString()))
  } catch (cause) {
    const remedy = 'ponix-cdc resnapshot begins a new one'
    const what = `what the comment of the publication ${publication} says of the snapshot for ${slot} cannot be read`
    throw new ReplicationError('publication', `${what}; ${remedy}`, { cause })
  }
}

async function editComment(database: Queryable, name: SlotName, edit: (comment: string) => string): Promise<void> {
  const comment = edit(await readComment(database, name))
    .replaceAll(/\s+/g, ' ')
    .trim()
  const text = `COMMENT ON PUBLICATION ${escapeIdentifier(name.publication)} IS ${escapeLiteral(comment)}`
  await attempt(`remember the slot; as the publication's owner run: ${text}`, () => database.query(text))
}

async function readComment(database: Queryable, { publication }: SlotName): Promise<string> {
  const { rows } = await attempt('read the publication', () =>
    database.query<{ comment: string | null }>(
      `SELECT obj_description(oid, 'pg_publication') AS comment FROM pg_publication WHERE pubname = $1`,
      [publication],
    ),
  )
  return rows[0]?.comment ?? ''
}
