/** What a person has to know about one process, or about all if `about` is null. */
export interface Note {
  readonly about: string | null
  readonly text: string
}

/** One line for each text, however many processes it is about. */
export function noteLines(notes: readonly Note[]): readonly string[] {
  const about = new Map<string, string[]>()
  for (const note of notes) {
    const names = about.get(note.text) ?? []
    about.set(note.text, note.about === null ? names : [...names, note.about])
  }
  return Array.from(about, ([text, names]) => (names.length === 0 ? text : `${names.join(', ')}: ${text}`))
}

/** Those that apply, of one process. */
export function notesAbout(about: string, texts: readonly (string | false)[]): readonly Note[] {
  return texts.filter((text) => text !== false).map((text) => ({ about, text }))
}
