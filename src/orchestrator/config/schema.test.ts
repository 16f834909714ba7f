import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { format, type FormatConfig } from 'oxfmt'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { configSchema } from './schema.ts'

// `-u` regenerates the files in docs/ that are derived from the schema.
const docs = join(import.meta.dirname, '..', '..', '..', 'docs')

const jsonSchemaForm = z.object({
  type: z.string().optional(),
  description: z.string().optional(),
  default: z.unknown().optional(),
  required: z.array(z.string()).optional(),
  get properties() {
    return z.record(z.string(), jsonSchemaForm).optional()
  },
  get additionalProperties() {
    return z.union([z.boolean(), jsonSchemaForm]).optional()
  },
  get anyOf() {
    return z.array(jsonSchemaForm).optional()
  },
})
type JsonSchema = z.infer<typeof jsonSchemaForm>

function jsonSchema(): JsonSchema {
  return jsonSchemaForm.parse(z.toJSONSchema(configSchema, { io: 'input' }))
}

interface Section {
  readonly title: string
  readonly schema: JsonSchema
}

/** All objects with keys, outermost first. */
function sectionsOf(title: string, schema: JsonSchema): readonly Section[] {
  const inner = Object.entries(schema.properties ?? {}).flatMap(([key, property]) => {
    const path = title === '' ? key : `${title}.${key}`
    const map = property.additionalProperties
    if (typeof map === 'object' && map.properties !== undefined) return sectionsOf(`${path}.<name>`, map)
    const object = [property, ...(property.anyOf ?? [])].find(({ properties }) => properties !== undefined)
    return object === undefined ? [] : sectionsOf(path, object)
  })
  return [{ title, schema }, ...inner]
}

function tableOf({ title, schema }: Section): string {
  const rows = Object.entries(schema.properties ?? {}).map(([key, property]) => {
    const required = schema.required?.includes(key) === true
    return `| \`${key}\` | ${required ? 'required' : defaultOf(property)} | ${property.description?.replaceAll('|', '\\|') ?? ''} |`
  })
  const heading = title === '' ? '### The file' : `### \`${title}\``
  return [heading, '', '| key | default | meaning |', '| --- | --- | --- |', ...rows].join('\n')
}

function defaultOf({ default: value, properties }: JsonSchema): string {
  return value === undefined || properties !== undefined ? '' : `\`${JSON.stringify(value)}\``
}

function undescribed(title: string, schema: JsonSchema): readonly string[] {
  return sectionsOf(title, schema).flatMap(({ title, schema }) =>
    Object.entries(schema.properties ?? {}).flatMap(([key, { description }]) =>
      description === undefined ? [`${title}.${key}`] : [],
    ),
  )
}

async function formatted(path: string, text: string): Promise<string> {
  const options: FormatConfig = JSON.parse(readFileSync(join(docs, '..', '.oxfmtrc.json'), 'utf8'))
  const { code, errors } = await format(path, text, options)
  expect(errors).toEqual([])
  return code
}

describe('the schema', () => {
  it('describes every key', () => {
    expect(undescribed('', jsonSchema())).toEqual([])
  })

  it('matches the JSON Schema in docs/', async () => {
    const path = join(docs, 'commonplace.schema.json')
    const schema = z.toJSONSchema(configSchema, { io: 'input' })
    await expect(await formatted(path, JSON.stringify(schema, null, 2))).toMatchFileSnapshot(path)
  })

  it('matches the tables in docs/configuration.md', async () => {
    const path = join(docs, 'configuration.md')
    const [before, rest = ''] = readFileSync(path, 'utf8').split('<!-- keys -->')
    const [, after] = rest.split('<!-- /keys -->')
    const tables = sectionsOf('', jsonSchema()).map(tableOf).join('\n\n')
    const text = `${before}<!-- keys -->\n\n${tables}\n\n<!-- /keys -->${after}`
    await expect(await formatted(path, text)).toMatchFileSnapshot(path)
  })
})
