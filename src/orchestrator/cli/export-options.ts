export const exportEngines = ['systemd', 'compose', 'kubernetes'] as const
export type ExportEngine = (typeof exportEngines)[number]

export interface ExportOptions {
  /** Folder to write to; null: all goes to stdout. */
  readonly output: string | null
  /** Begins the names of what is made; null: the name of the configuration's folder. */
  readonly name: string | null
  /** The image of the containers; null: `NAME:latest`. */
  readonly image: string | null
}
