import { z } from 'zod'

const objectForm = z.record(z.string(), z.unknown())
type Schema = z.infer<typeof objectForm>

/** Keywords that require keys, which another file may have. */
const requirements = new Set(['required', 'allOf', 'minProperties'])

/**
 * Returns the JSON Schema of a file that is merged with others: no key of an object is required, and every value can be null.
 * The keys and their descriptions stay, so that editors complete them.
 */
export function partialSchema(schema: unknown): Schema {
  const entries = Object.entries(objectForm.parse(schema)).filter(([keyword]) => !requirements.has(keyword))
  return Object.fromEntries(
    entries.map(([keyword, value]): [string, unknown] => {
      if (keyword === 'properties') return [keyword, mapValues(objectForm.parse(value))]
      if (keyword === 'additionalProperties' && value !== false) return [keyword, nullable(partialSchema(value))]
      if (keyword === 'anyOf') return [keyword, z.array(z.unknown()).parse(value).map(partialSchema)]
      return [keyword, value]
    }),
  )
}

function mapValues(schemas: Schema): Schema {
  return Object.fromEntries(Object.entries(schemas).map(([key, value]) => [key, nullable(partialSchema(value))]))
}

function nullable({ const: only, ...schema }: Schema): Schema {
  const choices = only === undefined ? schema['enum'] : [only]
  if (Array.isArray(choices)) return { ...schema, type: [schema['type'], 'null'], enum: [...choices, null] }
  if (Array.isArray(schema['anyOf'])) return { ...schema, anyOf: [...schema['anyOf'], { type: 'null' }] }
  return { ...schema, type: [schema['type'], 'null'] }
}
