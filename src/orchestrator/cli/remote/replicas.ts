import { UserError } from '../../config/errors.ts'
import { ownCommand } from '../../config/own-command.ts'
import { MAX_REPLICAS } from '../../config/source/replicas.ts'

/** Reads arguments such as `api=3`. Throws a UserError for another form, and for a name that is given twice. */
export function parseReplicas(typed: readonly string[]): ReadonlyMap<string, number> {
  const replicas = new Map<string, number>()
  for (const text of typed) {
    const [, name, number] = /^(.+)=(.*)$/s.exec(text) ?? []
    if (name === undefined || number === undefined) reject(text, 'expected NAME=NUMBER, such as api=3')
    if (replicas.has(name)) reject(text, `"${name}" is named twice`)
    if (/^0+$/.test(number)) reject(text, describeZero(name))
    const count = /^\d{1,9}$/.test(number) ? Number(number) : Number.NaN
    if (!(count <= MAX_REPLICAS)) reject(text, `expected a whole number from 1 to ${MAX_REPLICAS} after "="`)
    replicas.set(name, count)
  }
  return replicas
}

function describeZero(name: string): string {
  const [stop, start] = [ownCommand(`stop ${name}`), ownCommand(`start ${name}`)]
  return `to run no instance, run "${stop}"; "${start}" starts them again`
}

function reject(text: string, expected: string): never {
  throw new UserError(`scale ${JSON.stringify(text)}: ${expected}`)
}
