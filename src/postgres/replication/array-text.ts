/** An array as PostgreSQL writes it, its elements read by the caller's function. */
export type ArrayValue<T> = readonly (T | null | ArrayValue<T>)[]

const BOUNDS = /^(\[-?\d+:-?\d+\])+=/

/**
 * Reads the text form of an array: `{1,NULL,"a \"b\""}`, nested, with or without bounds (`[0:1]={…}`; bounds are dropped).
 * Throws a RangeError for text that is no array.
 */
export function parseArray<T>(text: string, element: (text: string) => T): ArrayValue<T> {
  const start = BOUNDS.exec(text)?.[0].length ?? 0
  const cursor: Cursor = { text, at: start }
  const value = readArray(cursor, element)
  if (cursor.at !== text.length) throw notAnArray(text)
  return value
}

interface Cursor {
  readonly text: string
  at: number
}

function readArray<T>(cursor: Cursor, element: (text: string) => T): ArrayValue<T> {
  if (cursor.text[cursor.at] !== '{') throw notAnArray(cursor.text)
  cursor.at += 1
  const items: (T | null | ArrayValue<T>)[] = []
  if (cursor.text[cursor.at] === '}') {
    cursor.at += 1
    return items
  }
  for (;;) {
    items.push(readItem(cursor, element))
    const after = cursor.text[cursor.at]
    cursor.at += 1
    if (after === '}') return items
    if (after !== ',') throw notAnArray(cursor.text)
  }
}

function readItem<T>(cursor: Cursor, element: (text: string) => T): T | null | ArrayValue<T> {
  const first = cursor.text[cursor.at]
  if (first === '{') return readArray(cursor, element)
  if (first === '"') return element(readQuoted(cursor))
  const bare = readBare(cursor)
  return bare === 'NULL' ? null : element(bare)
}

function readQuoted(cursor: Cursor): string {
  const { text } = cursor
  let value = ''
  let from = cursor.at + 1
  for (let at = from; at < text.length; at += 1) {
    const char = text[at]
    if (char === '\\') {
      value += text.slice(from, at)
      from = at + 1
      at += 1
    } else if (char === '"') {
      cursor.at = at + 1
      return value + text.slice(from, at)
    }
  }
  throw notAnArray(text)
}

function readBare(cursor: Cursor): string {
  const { text } = cursor
  const start = cursor.at
  let at = start
  while (at < text.length && text[at] !== ',' && text[at] !== '}') at += 1
  if (at === start) throw notAnArray(text)
  cursor.at = at
  return text.slice(start, at)
}

function notAnArray(text: string): RangeError {
  return new RangeError(`not an array: ${JSON.stringify(text.slice(0, 100))}`)
}
