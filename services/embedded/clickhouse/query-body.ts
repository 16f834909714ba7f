import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'
import { ClickHouseException } from './exception.ts'
import { parametersOf, type Pair } from './query-request.ts'
import { analyseStatement, type InsertWithData, type Query } from './statement.ts'

/** A query that has arrived completely. */
export type ArrivedQuery =
  | {
      readonly kind: 'query'
      readonly sql: string
      readonly statement: Query
      readonly parameters: readonly Pair[]
    }
  /** Its data are in a file, which the caller removes. */
  | { readonly kind: 'insert'; readonly sql: string; readonly dataFile: string; readonly dataBytes: number }

/** By then an INSERT has come to its data. */
const HEAD_BYTES = 1 << 20
/** The longest text of a query; the engine has a limit of its own, `max_query_size`, which is lower unless it is raised. */
const MAX_QUERY_BYTES = 32 << 20

/**
 * Receives a query: the URL's part, then the body. The data of an INSERT go into a file in `spoolDir`, unseen and whatever
 * their size, because the engine reads inline data only up to the first empty line and would take the rest for SQL.
 */
export async function receiveQuery(
  request: IncomingMessage,
  queryOfUrl: string,
  spoolDir: string,
): Promise<ArrivedQuery> {
  if (/^multipart\/form-data/i.test(request.headers['content-type'] ?? '')) return receiveForm(request, queryOfUrl)
  const body = decoded(request)
  const chunks: Buffer[] = queryOfUrl === '' ? [] : [Buffer.from(`${queryOfUrl}\n`)]
  const rest = body[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  let ended = await collect(rest, chunks, HEAD_BYTES)
  const head = Buffer.concat(chunks)
  const statement = analyseStatement(head.toString('latin1'))
  if (statement.kind === 'insert') {
    const data = head.subarray(statement.dataAt)
    const dataFile = join(spoolDir, randomUUID())
    const dataBytes = await spool(dataFile, data, ended ? undefined : rest)
    return { kind: 'insert', sql: insertFromFile(head, statement, dataFile), dataFile, dataBytes }
  }
  chunks.length = 0
  ended ||= await collect(rest, chunks, MAX_QUERY_BYTES)
  if (!ended) throw tooLong()
  const sql = Buffer.concat([head, ...chunks])
  return { kind: 'query', sql: sql.toString(), statement: oneQuery(sql), parameters: [] }
}

/** `parameters` and `query` as fields of a form, for what is too long for a URL. */
async function receiveForm(request: IncomingMessage, queryOfUrl: string): Promise<ArrivedQuery> {
  const chunks: Buffer[] = []
  const body = decoded(request)
  if (!(await collect(body[Symbol.asyncIterator]() as AsyncIterator<Buffer>, chunks, MAX_QUERY_BYTES))) throw tooLong()
  const headers = { 'content-type': request.headers['content-type'] ?? '' }
  const form = await new Response(Buffer.concat(chunks), { headers }).formData()
  const fields: Pair[] = []
  for (const [name, value] of form) {
    if (typeof value === 'string') fields.push([name, value])
    else throw new ClickHouseException(48, 'NOT_IMPLEMENTED', `The embedded server takes no external table ('${name}')`)
  }
  const ofForm = fields.find(([name]) => name === 'query')?.[1] ?? ''
  const sql = [queryOfUrl, ofForm].filter((part) => part !== '').join('\n')
  return { kind: 'query', sql, statement: oneQuery(Buffer.from(sql)), parameters: parametersOf(fields) }
}

/** The one query that a request may hold. Throws a ClickHouseException for everything else. */
function oneQuery(sql: Buffer): Query {
  const statement = analyseStatement(sql.toString('latin1'))
  if (statement.kind === 'query') return statement
  if (statement.kind === 'insert') {
    const message = 'The embedded server takes no INSERT with data in this form'
    throw new ClickHouseException(48, 'NOT_IMPLEMENTED', message)
  }
  const what =
    statement.kind === 'empty'
      ? 'Empty query'
      : `failed at position ${statement.at + 1}: Multi-statements are not allowed`
  throw new ClickHouseException(62, 'SYNTAX_ERROR', `Syntax error: ${what}`)
}

/** Reads until the end, or until there are so many bytes. True at the end. */
async function collect(source: AsyncIterator<Buffer>, into: Buffer[], maxBytes: number): Promise<boolean> {
  for (let bytes = 0; bytes < maxBytes;) {
    const next = await source.next()
    if (next.done === true) return true
    into.push(next.value)
    bytes += next.value.length
  }
  return false
}

async function spool(file: string, first: Buffer, rest: AsyncIterator<Buffer> | undefined): Promise<number> {
  let bytes = 0
  const counted = async function* (): AsyncGenerator<Buffer, void, undefined> {
    bytes += first.length
    yield first
    if (rest === undefined) return
    for await (const chunk of { [Symbol.asyncIterator]: () => rest }) {
      bytes += chunk.length
      yield chunk
    }
  }
  try {
    await pipeline(counted, createWriteStream(file, { flags: 'wx' }))
    return bytes
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

function decoded(request: IncomingMessage): Readable {
  const encoding = (request.headers['content-encoding'] ?? 'identity').trim().toLowerCase()
  if (encoding === 'identity' || encoding === '') return request
  const decoder = decoderOf(encoding)
  const body = request.pipe(decoder)
  request.once('error', (error) => decoder.destroy(error))
  request.once('close', () => {
    if (!request.complete) decoder.destroy(new Error('the client went away'))
  })
  return body
}

function decoderOf(encoding: string) {
  if (encoding === 'gzip' || encoding === 'x-gzip') return createGunzip()
  if (encoding === 'deflate') return createInflate()
  if (encoding === 'br') return createBrotliDecompress()
  const message = `Unknown compression method '${encoding}': the embedded server knows gzip, deflate and br`
  throw new ClickHouseException(48, 'NOT_IMPLEMENTED', message)
}

function tooLong(): ClickHouseException {
  const message = `Max query size exceeded: the embedded server takes ${MAX_QUERY_BYTES} bytes`
  return new ClickHouseException(62, 'SYNTAX_ERROR', message)
}
