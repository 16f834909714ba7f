import { describe, expect, it } from 'vitest'
import { noteLines, notesAbout } from './notes.ts'

describe('noteLines (O-10)', () => {
  it('says the same thing once, and of whom', () => {
    const notes = [{ about: null, text: 'all' }, ...notesAbout('a', ['x', false]), ...notesAbout('b', ['y', 'x'])]
    expect(noteLines(notes)).toEqual(['all', 'a, b: x', 'b: y'])
  })
})
