import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { Readable } from 'node:stream'
import { gunzipSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { clickhouseHttp } from '../../../test/rig/adapters/clickhouse.ts'

const { url, authorization, database, ask, sure } = clickhouseHttp('inserts')

describe('E-2: inserts', () => {
  test('accept RowBinary with any bytes: blank lines, semicolons, quotes', async () => {
    const bytes = fc.uint8Array({ minLength: 1, maxLength: 40 })
    const nasty = fc.array(fc.constantFrom(9, 10, 13, 32, 34, 39, 45, 59, 0), { minLength: 1, maxLength: 20 })
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          bytes,
          nasty.map((values) => Uint8Array.from(values)),
        ),
        async (data) => {
          await sure('TRUNCATE TABLE bytes')
          const body = new Uint8Array(data)
          expect(await ask(body, { query: 'INSERT INTO bytes FORMAT RowBinary' })).toMatchObject({
            status: 200,
            text: '',
          })
          const found = await ask('SELECT b FROM bytes FORMAT RowBinary', {})
          expect(found.status).toBe(200)
          expect(await sure('SELECT groupArray(b) FROM bytes')).toBe(`[${[...data].join(',')}]\n`)
        },
      ),
      { numRuns: 60, seed: 1 },
    )
  })

  test('accept JSONEachRow with empty lines between rows and SQL in values', async () => {
    await sure('TRUNCATE TABLE pairs')
    const body = `{"a":1,"s":"x;y"}\n\n\n{"a":2,"s":"\\n\\nDROP TABLE pairs;"}\n\n{"a":3,"s":"z"}\n`
    await ask(body, { query: 'INSERT INTO pairs FORMAT JSONEachRow' })
    expect(await sure('SELECT a, s FROM pairs ORDER BY a FORMAT JSONCompact', { wait_end_of_query: '1' })).toContain(
      String.raw`"\n\nDROP TABLE pairs;"`,
    )
    expect(await sure('SELECT count() FROM pairs')).toBe('3\n')
  })

  test('accept query and data in one body, in the URL, and VALUES with empty lines', async () => {
    await sure('TRUNCATE TABLE pairs')
    await sure('INSERT INTO pairs FORMAT CSV\n1,"a\n\nb"\n2,c\n')
    await sure("INSERT INTO pairs VALUES (3, 'x;'),\n\n(2 + 2, 'y');")
    await sure('(5, {v:String})', { query: 'INSERT INTO pairs (a, s) VALUES', param_v: 'bound' })
    expect(await sure('SELECT groupArray(s) FROM (SELECT * FROM pairs ORDER BY a)')).toBe(
      String.raw`['a\n\nb','c','x;','y','bound']` + '\n',
    )
  })

  test('accept the Native format that a query returned', async () => {
    await sure('TRUNCATE TABLE pairs')
    const search = new URLSearchParams({ query: "SELECT number AS a, 'x\n\n;' AS s FROM numbers(1000) FORMAT Native" })
    const native = await fetch(`${url}/?${search.toString()}`, { headers: { authorization } })
    await ask(new Uint8Array(await native.arrayBuffer()), { query: 'INSERT INTO pairs FORMAT Native' })
    expect(await sure('SELECT count(), sum(a), uniq(s) FROM pairs')).toBe('1000\t499500\t1\n')
  })

  test('use gzip for requests and answers', async () => {
    await sure('TRUNCATE TABLE pairs')
    const rows = Array.from({ length: 5000 }, (_, a) => JSON.stringify({ a, s: 'x' })).join('\n')
    const inserted = await ask(
      new Uint8Array(gzipSync(rows)),
      { query: 'INSERT INTO pairs FORMAT JSONEachRow' },
      { 'content-encoding': 'gzip' },
    )
    expect(inserted.status).toBe(200)
    for (const wait_end_of_query of ['0', '1']) {
      const { encoding, body } = await raw('SELECT a FROM pairs ORDER BY a', {
        enable_http_compression: '1',
        wait_end_of_query,
      })
      expect(encoding).toBe('gzip')
      expect(gunzipSync(body).toString().split('\n')).toHaveLength(5001)
    }
    expect((await raw('SELECT 1', {})).encoding).toBeUndefined()
  })

  test('reject invalid gzip and insert nothing', async () => {
    await sure('TRUNCATE TABLE pairs')
    const cut = gzipSync(Array.from({ length: 9999 }, (_, a) => `{"a":${a * 7919},"s":"x"}`).join('\n')).subarray(
      0,
      5000,
    )
    const query = 'INSERT INTO pairs FORMAT JSONEachRow'
    const answer = await ask(new Uint8Array(cut), { query }, { 'content-encoding': 'gzip' })
    expect(answer.text).toMatch(/^Code: 354\. .*\(ZLIB_INFLATE_FAILED\)/)
    expect((await ask('x', { query }, { 'content-encoding': 'snappy' })).text).toMatch(/^Code: 48\. .*'snappy'/)
    expect(await sure('SELECT count() FROM pairs')).toBe('0\n')
  })

  test('an insert with a body of 40 MB is streamed', async () => {
    await sure('TRUNCATE TABLE pairs')
    const line = `{"a":1,"s":"${'x'.repeat(1000)}"}\n`
    const chunk = line.repeat(100)
    const body = Readable.from(Array.from({ length: 400 }, () => Buffer.from(chunk)))
    const query = encodeURIComponent('INSERT INTO pairs FORMAT JSONEachRow')
    const request = httpRequest(`${url}/?database=${database}&query=${query}`, {
      method: 'POST',
      headers: { authorization },
    })
    body.pipe(request)
    const [response] = await once(request, 'response')
    expect(response.statusCode).toBe(200)
    response.resume()
    await once(response, 'end')
    expect(await sure('SELECT count() FROM pairs')).toBe('40000\n')
  })

  test('insert nothing when the client disconnects while sending', async () => {
    await sure('TRUNCATE TABLE pairs')
    const query = encodeURIComponent('INSERT INTO pairs FORMAT JSONEachRow')
    const request = httpRequest(`${url}/?database=${database}&query=${query}`, {
      method: 'POST',
      headers: { authorization },
    })
    request.on('error', () => {})
    request.write('{"a":1,"s":"x"}\n'.repeat(100_000))
    await once(request, 'drain')
    const closed = new Promise((resolve) => request.once('close', resolve))
    request.destroy()
    await closed
    expect(await sure('SELECT count() FROM pairs')).toBe('0\n')
  })

  test('report code, row and reason of rejected data', async () => {
    const answer = await ask('{"a":1,"s":"x"}\n{"a":"no","s":"y"}\n', { query: 'INSERT INTO pairs FORMAT JSONEachRow' })
    expect(answer.status).toBe(400)
    expect(answer.text).toMatch(
      /^Code: 27\. DB::Exception: .*key a\): \(at row 2\).*\(CANNOT_PARSE_INPUT_ASSERTION_FAILED\)/s,
    )
    expect((await ask('{}', { query: 'INSERT INTO nope FORMAT JSONEachRow' })).status).toBe(404)
  })
})

/** Sends a request without the automatic decompression of fetch. */
async function raw(
  sql: string,
  parameters: Record<string, string>,
): Promise<{ encoding: string | undefined; body: Buffer }> {
  const search = new URLSearchParams({ database, ...parameters })
  const headers = { authorization, 'accept-encoding': 'gzip' }
  const request = httpRequest(`${url}/?${search.toString()}`, { method: 'POST', headers })
  request.end(sql)
  const [response] = await once(request, 'response')
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk)
  return { encoding: response.headers['content-encoding'], body: Buffer.concat(chunks) }
}
