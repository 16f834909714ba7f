import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'
import { ClickHouseException } from './exception.ts'
import { parametersOf, type Pair } from './query-request.ts'
import { analyseStatement, type InsertWithData, type Query } from './statement.ts'

/** A completely received query. */
export type ArrivedQuery =
  | {
      readonly kind: 'query'
      readonly sql: string
      readonly statement: Query
      readonly parameters: readonly Pair[]
    }
  /** The data is in a file, which the caller removes. */
  | { readonly kind: 'insert'; readonly sql: string; readonly dataFile: string }

/** The number of bytes within which the data of an INSERT begins. */
const HEAD_BYTES = 1 << 20
/** Limit of a query's text. The engine's own limit, `max_query_size`, is lower by default. */
const MAX_QUERY_BYTES = 32 << 20

/**
 * Receives a query: the URL's part, then the body. Streams the data of an INSERT into a file in `spoolDir`, because the engine
 * reads inline data only up to the first empty line and would parse the rest as SQL.
 */
export async function receiveQuery(
  request: IncomingMessage,
  queryOfUrl: string,
  spoolDir: string,
): Promise<ArrivedQuery> {
  if (/^multipart\/form-data/i.test(request.headers['content-type'] ?? '')) return receiveForm(request, queryOfUrl)
  const chunks: Buffer[] = queryOfUrl === '' ? [] : [Buffer.from(`${queryOfUrl}\n`)]
  const rest = decoded(request)
  let ended = await collect(rest, chunks, HEAD_BYTES)
  const head = Buffer.concat(chunks)
  const statement = analyseStatement(head.toString('latin1'))
  if (statement.kind === 'insert') {
    const data = head.subarray(statement.dataAt)
    const dataFile = join(spoolDir, randomUUID())
    await spool(dataFile, data, ended ? undefined : rest)
    return { kind: 'insert', sql: insertFromFile(head, statement, dataFile), dataFile }
  }
  chunks.length = 0
  ended ||= await collect(rest, chunks, MAX_QUERY_BYTES)
  if (!ended) throw tooLong()
  const sql = Buffer.concat([head, ...chunks])
  return { kind: 'query', sql: sql.toString(), statement: oneQuery(sql), parameters: [] }
}

/** Receives a form with the fields `query` and `param_{name}`, for values too long for a URL. */
async function receiveForm(request: IncomingMessage, queryOfUrl: string): Promise<ArrivedQuery> {
  const chunks: Buffer[] = []
  if (!(await collect(decoded(request), chunks, MAX_QUERY_BYTES))) throw tooLong()
  const headers = { 'content-type': request.headers['content-type'] ?? '' }
  const form = await new Response(Buffer.concat(chunks), { headers }).formData()
  const fields: Pair[] = []
  for (const [name, value] of form) {
    if (typeof value !== 'string') {
      const message = `The embedded server does not support external tables ('${name}')`
      throw new ClickHouseException(48, 'NOT_IMPLEMENTED', message)
    }
    fields.push([name, value])
  }
  const ofForm = fields.find(([name]) => name === 'query')?.[1] ?? ''
  const sql = [queryOfUrl, ofForm].filter((part) => part !== '').join('\n')
  return { kind: 'query', sql, statement: oneQuery(Buffer.from(sql)), parameters: parametersOf(fields) }
}

/** Returns the single query of a request. Throws a ClickHouseException for anything else. */
function oneQuery(sql: Buffer): Query {
  const statement = analyseStatement(sql.toString('latin1'))
  if (statement.kind === 'query') return statement
  if (statement.kind === 'insert') {
    const message =
      'The embedded server does not support INSERT data in a form or after 1 MiB of SQL; send it in the body'
    throw new ClickHouseException(48, 'NOT_IMPLEMENTED', message)
  }
  const mistake =
    statement.kind === 'empty'
      ? 'Empty query'
      : `failed at position ${statement.at + 1}: Multi-statements are not allowed`
  throw new ClickHouseException(62, 'SYNTAX_ERROR', `Syntax error: ${mistake}`)
}

/** Reads up to `maxBytes`, rounded up to a chunk. Returns true at the end of the source. */
async function collect(source: AsyncIterator<Buffer>, into: Buffer[], maxBytes: number): Promise<boolean> {
  for (let bytes = 0; bytes < maxBytes;) {
    const next = await source.next()
    if (next.done === true) return true
    into.push(next.value)
    bytes += next.value.length
  }
  return false
}

async function spool(file: string, first: Buffer, rest: AsyncIterator<Buffer> | undefined): Promise<void> {
  const chunks = async function* (): AsyncGenerator<Buffer, void, undefined> {
    yield first
    if (rest !== undefined) yield* { [Symbol.asyncIterator]: () => rest }
  }
  try {
    await pipeline(chunks, createWriteStream(file, { flags: 'wx' }))
  } catch (error) {
    await rm(file, { force: true })
    throw error
  }
}

function insertFromFile(head: Buffer, statement: InsertWithData, file: string): string {
  const target = head.subarray(0, statement.sourceAt).toString()
  const settings = head.subarray(statement.sourceAt, statement.formatAt).toString()
  const path = file.replaceAll('\\', '\\\\').replaceAll("'", String.raw`\'`)
  return `${target} FROM INFILE '${path}' ${settings} FORMAT ${statement.format}`
}

const DECODERS = new Map([
  ['gzip', createGunzip],
  ['x-gzip', createGunzip],
  ['deflate', createInflate],
  ['br', createBrotliDecompress],
])

/** Returns the chunks of the body, decompressed. */
function decoded(request: IncomingMessage): AsyncIterator<Buffer> {
  const encoding = (request.headers['content-encoding'] ?? 'identity').trim().toLowerCase()
  if (encoding === 'identity' || encoding === '') return request[Symbol.asyncIterator]()
  const decoder = DECODERS.get(encoding)?.()
  if (decoder === undefined) {
    const message = `Unknown compression method '${encoding}': the embedded server supports gzip, deflate and br`
    throw new ClickHouseException(48, 'NOT_IMPLEMENTED', message)
  }
  request.once('error', (error) => decoder.destroy(error))
  request.once('close', () => {
    if (!request.complete) decoder.destroy(new Error('the client disconnected'))
  })
  return request.pipe(decoder)[Symbol.asyncIterator]()
}

function tooLong(): ClickHouseException {
  const message = `Max query size exceeded: the limit of the embedded server is ${MAX_QUERY_BYTES} bytes`
  return new ClickHouseException(62, 'SYNTAX_ERROR', message)
}
