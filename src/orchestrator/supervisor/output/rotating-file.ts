import { constants } from 'node:fs'
import { open, rename, stat, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { codeOf } from '../../config/errors.ts'
import type { LogFileSettings } from '../../config/resolved.ts'
import { createFolder } from '../system/create-folder.ts'

/** The least time between two checks whether the path is still that of the open file. */
const CHECK_MS = 1000
const NEWLINE = 0x0a
/** The mode of a new file: output of processes can contain secrets. */
const NEW_FILE_MODE = 0o600
const PERMISSIONS = 0o777
/** Flags to open a file. O_NONBLOCK, because opening a pipe without a reader would block a thread. */
const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK

/** The outcome of one write. */
export interface Written {
  readonly bytesWritten: number
  /** False if the file accepted only a part, or was rotated instead. */
  readonly isComplete: boolean
}

/**
 * A file of whole lines, which is opened at the first write. Rotates at its size limit: `path` becomes `path.1`, that `path.2`, and so
 * on; only regular files are rotated, and the new file has the mode of the old one. A file that something else removes or renames is
 * created again.
 */
export class RotatingFile {
  readonly #settings: LogFileSettings
  #handle: FileHandle | null = null
  #size = 0
  #isRegular = true
  /** True if the last write ended within a line, the rest of which must go to the same file. */
  #isWithinLine = false
  /** The permissions of the file, which the next one gets. */
  #mode = NEW_FILE_MODE
  #isRotated = false
  /** The identity of the open file. */
  #identity = ''
  #checkedAt = 0

  constructor(settings: LogFileSettings) {
    this.#settings = settings
  }

  /**
   * Writes the lines that fit into this file, or rotates it. `lines` ends with a newline; after an incomplete write it begins with
   * the rest of that write. Throws the error of the system.
   */
  async write(lines: Buffer): Promise<Written> {
    await this.#closeIfMoved()
    this.#handle ??= await this.#open()
    const length = this.#pieceLength(lines)
    if (length === 0) {
      await this.#rotate()
      return { bytesWritten: 0, isComplete: false }
    }
    const { bytesWritten } = await this.#handle.write(lines, 0, length)
    if (bytesWritten > 0) this.#isWithinLine = lines[bytesWritten - 1] !== NEWLINE
    this.#size += bytesWritten
    return { bytesWritten, isComplete: bytesWritten === length }
  }

  /** Closes the file; the next write opens it again. */
  async close(): Promise<void> {
    const handle = this.#handle
    this.#handle = null
    // Some file systems report a full disk only on close.
    await handle?.close().catch(() => undefined)
  }

  /** Returns the length of the next write: the whole lines that fit into this file; 0 if it must be rotated first. */
  #pieceLength(lines: Buffer): number {
    const lineLength = lines.indexOf(NEWLINE) + 1
    if (this.#isWithinLine) return lineLength
    if (!this.#isRegular) return lines.length
    const room = this.#settings.maxSize - this.#size
    if (lines.length <= room) return lines.length
    const fitting = room <= 0 ? 0 : lines.lastIndexOf(NEWLINE, room - 1) + 1
    // A line longer than the limit fills a file alone.
    return fitting > 0 || this.#size > 0 ? fitting : lineLength
  }

  async #open(): Promise<FileHandle> {
    const { path } = this.#settings
    const handle = await openInFolder(path)
    try {
      const found = await handle.stat()
      this.#isRegular = found.isFile()
      this.#size = this.#isRegular ? found.size : 0
      this.#identity = identityOf(found)
      this.#checkedAt = performance.now()
      if (this.#isRotated && this.#isRegular) await handle.chmod(this.#mode)
      else this.#mode = found.mode & PERMISSIONS
      this.#isRotated = false
      if (this.#size > 0 && !this.#isWithinLine && (await endsWithinLine(path, found.size))) {
        // The previous writer was killed within a line.
        this.#size += (await handle.write(Buffer.of(NEWLINE))).bytesWritten
      }
      return handle
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  /** Closes the file if something else has removed or renamed it. */
  async #closeIfMoved(): Promise<void> {
    const now = performance.now()
    if (this.#handle === null || !this.#isRegular || this.#isWithinLine || now - this.#checkedAt < CHECK_MS) return
    this.#checkedAt = now
    const found = await stat(this.#settings.path).catch(() => null)
    if (found === null || identityOf(found) !== this.#identity) await this.close()
  }

  async #rotate(): Promise<void> {
    const { path, maxFiles } = this.#settings
    await this.close()
    for (let number = maxFiles; number > 1; number--) await renameIfThere(`${path}.${number - 1}`, `${path}.${number}`)
    await renameIfThere(path, `${path}.1`)
    this.#isRotated = true
  }
}

function identityOf({ dev, ino }: { readonly dev: number; readonly ino: number }): string {
  return `${dev} ${ino}`
}

/** Opens a file to append, and creates it and its folder. */
async function openInFolder(path: string): Promise<FileHandle> {
  try {
    return await open(path, FLAGS, NEW_FILE_MODE)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
    createFolder(dirname(path), { mode: 0o777 })
    return open(path, FLAGS, NEW_FILE_MODE)
  }
}

/** Returns whether a file ends within a line; false if it cannot be read. */
async function endsWithinLine(path: string, size: number): Promise<boolean> {
  const handle = await open(path, constants.O_RDONLY).catch(() => null)
  if (handle === null) return false
  try {
    const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1)
    return buffer[0] !== NEWLINE
  } finally {
    await handle.close()
  }
}

async function renameIfThere(from: string, to: string): Promise<void> {
  try {
    await rename(from, to)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
}
