/** One file to be written. */
export interface ExportedFile {
  /** Name, without folders. */
  readonly name: string
  readonly text: string
}

/** What an engine takes over, and what a person has to know or do before it can. */
export interface Export {
  readonly files: readonly ExportedFile[]
  /** One line each, without secrets: where secrets go, and what the engine cannot do as the orchestrator does it. */
  readonly notes: readonly string[]
}
