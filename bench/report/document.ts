import { readFileSync, writeFileSync } from 'node:fs'

const START = (name: string) => `<!-- ${name}: made by npm run bench ${name} -- --write -->`
const END = (name: string) => `<!-- end of ${name} -->`

/** Puts a bench's text between its marks in a document, at the end if they are not there yet. The rest stays as it is. */
export function writeSection(path: string, name: string, text: string): void {
  const document = readFileSync(path, 'utf8')
  const section = `${START(name)}\n\n${text}\n\n${END(name)}`
  const from = document.indexOf(START(name))
  const to = document.indexOf(END(name))
  const changed =
    from < 0 || to < from
      ? `${document.trimEnd()}\n\n${section}\n`
      : document.slice(0, from) + section + document.slice(to + END(name).length)
  writeFileSync(path, changed)
}
