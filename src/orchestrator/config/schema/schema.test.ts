import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { projectRoot } from '../../../../test/rig/program.ts'
import { withGeneratedSection, formatted, markdownTable } from '../../../../test/rig/documents/generated-section.ts'
import { partialSchema } from '../../../../test/rig/configuration/partial-schema.ts'
import { configSchema } from './file.ts'

// `-u` regenerates the files in docs/ that are derived from the schema.
const docs = join(projectRoot, 'docs')

const jsonSchemaForm = z.object({
  type: z.string().optional(),
  const: z.unknown().optional(),
  enum: z.array(z.unknown()).optional(),
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
  get items() {
    return jsonSchemaForm.optional()
  },
  get prefixItems() {
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

/** Returns all objects with keys, outermost first. */
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
    const meaning = property.description?.replaceAll('|', '\\|') ?? ''
    return [`\`${key}\``, required ? 'required' : defaultOf(property), meaning]
  })
  const heading = title === '' ? '### The file' : `### \`${title}\``
  return [heading, '', markdownTable([['key', 'default', 'meaning'], ...rows])].join('\n')
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

/** Generates `src/index.ts`, whose types need no import, so that the package has none. */
class TypesGenerator {
  readonly #interfaces = new Map<string, string>()

  static generate(schema: JsonSchema): string {
    const generator = new TypesGenerator()
    generator.#typeOf('commonplace', schema)
    return [
      `// Generated from the schema: npx vitest run src/orchestrator/config/schema/schema.test.ts -u`,
      ...[...generator.#interfaces.values()].toReversed(),
      '/** Returns the configuration unchanged, with types that let editors complete and check its keys. */\n' +
        'export function defineConfig(config: CommonplaceConfig): CommonplaceConfig {\n  return config\n}\n',
    ].join('\n\n')
  }

  #typeOf(key: string, schema: JsonSchema): string {
    const { anyOf, items, prefixItems = [], additionalProperties: values, properties } = schema
    if (anyOf !== undefined) return anyOf.map((branch) => this.#typeOf(key, branch)).join(' | ')
    const literals = schema.enum ?? (schema.const === undefined ? [] : [schema.const])
    if (literals.length > 0) return literals.map((value) => JSON.stringify(value)).join(' | ')
    if (properties !== undefined) return this.#interface(key, schema, properties)
    if (typeof values === 'object') return `Readonly<Record<string, ${this.#typeOf(key, values)}>>`
    if (items !== undefined) {
      const first = prefixItems.map((item) => `${this.#typeOf(key, item)}, `).join('')
      const rest = this.#typeOf(key, items)
      return first === '' ? `readonly (${rest})[]` : `readonly [${first}...(${rest})[]]`
    }
    return schema.type === 'integer' ? 'number' : (schema.type ?? 'unknown')
  }

  #interface(key: string, schema: JsonSchema, properties: Record<string, JsonSchema>): string {
    const singular = { processes: 'process', depends_on: 'dependency' }[key] ?? key
    const name = `${singular.replaceAll(/(?:^|_)(.)/g, (_, letter: string) => letter.toUpperCase())}Config`
    const lines = Object.entries(properties).map(([property, value]) => {
      const hint =
        value.default === undefined || value.properties !== undefined
          ? ''
          : `. Default: ${JSON.stringify(value.default)}`
      const mark = schema.required?.includes(property) === true ? '' : '?'
      return `  /** ${value.description}${hint} */\n  readonly ${property}${mark}: ${this.#typeOf(property, value)}`
    })
    this.#interfaces.set(name, `export interface ${name} {\n${lines.join('\n')}\n}`)
    return name
  }
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

  it('matches the JSON Schema of merged files in docs/', async () => {
    const path = join(docs, 'commonplace.partial.schema.json')
    const schema = partialSchema(z.toJSONSchema(configSchema, { io: 'input' }))
    await expect(await formatted(path, JSON.stringify(schema, null, 2))).toMatchFileSnapshot(path)
  })

  it('matches the types in src/index.ts', async () => {
    const path = join(docs, '..', 'src', 'index.ts')
    await expect(await formatted(path, TypesGenerator.generate(jsonSchema()))).toMatchFileSnapshot(path)
  })

  it('matches the tables in docs/configuration.md', async () => {
    const tables = sectionsOf('', jsonSchema()).map(tableOf).join('\n\n')
    const path = join(projectRoot, 'docs/configuration.md')
    await expect(await withGeneratedSection(path, 'keys', tables)).toMatchFileSnapshot(path)
  })
})
