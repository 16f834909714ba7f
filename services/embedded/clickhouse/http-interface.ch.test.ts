import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { Readable } from 'node:stream'
import { gunzipSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'

const { url, username, password } = inject('clickhouse')
const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
const database = `http_${process.pid}`

interface Asked {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

/** POST of a body with parameters in the URL, in a database of this file's own. */
async function ask(
  body: string | Uint8Array<ArrayBuffer>,
  parameters: Record<string, string> = {},
  headers: Record<string, string> = {},
): Promise<Asked> {
  const search = new URLSearchParams({ database, ...parameters })
  const response = await fetch(`${url}/?${search.toString()}`, {
    method: 'POST',
    body,
    headers: { authorization, ...headers },
  })
  return { status: response.status, headers: response.headers, text: await response.text() }
}

async function get(path: string, headers: Record<string, string> = { authorization }): Promise<Asked> {
  const response = await fetch(`${url}${path}`, { headers })
  return { status: response.status, headers: response.headers, text: await response.text() }
}

async function sure(body: string, parameters: Record<string, string> = {}): Promise<string> {
  const { status, text } = await ask(body, parameters)
  expect({ status, text }).toMatchObject({ status: 200 })
  return text
}

beforeAll(async () => {
  await ask(`CREATE DATABASE ${database}`, { database: 'default' })
  await sure('CREATE TABLE bytes (b UInt8) ENGINE = Memory')
  await sure('CREATE TABLE pairs (a UInt64, s String) ENGINE = MergeTree ORDER BY a')
})
afterAll(() => ask(`DROP DATABASE ${database} SYNC`, { database: 'default' }))

describe('E-2: who may ask', () => {
  test('/ping and the bare address answer anybody', async () => {
    for (const path of ['/ping', '/', '/replicas_status']) {
      expect(await get(path, {})).toMatchObject({ status: 200, text: 'Ok.\n' })
    }
    expect((await get('/elsewhere')).status).toBe(404)
  })

  test('without credentials 401 and the question for them', async () => {
    const answer = await get('/?query=SELECT+1', {})
    expect(answer.status).toBe(401)
    expect(answer.headers.get('www-authenticate')).toMatch(/^Basic/)
    expect(answer.headers.get('x-clickhouse-exception-code')).toBe('516')
    expect(answer.text).toMatch(
      /^Code: 516\. DB::Exception: default: Authentication failed: .*\(AUTHENTICATION_FAILED\)/,
    )
  })

  test.each([
    ['Basic', {}, { authorization: `Basic ${Buffer.from(`${username}:wrong`).toString('base64')}` }],
    ['headers', {}, { 'x-clickhouse-user': username, 'x-clickhouse-key': 'wrong' }],
    ['URL', { user: 'somebody', password }, {}],
  ])('with wrong ones by %s 403', async (_how, parameters: Record<string, string>, headers) => {
    const answer = await get(`/?${new URLSearchParams({ query: 'SELECT 1', ...parameters }).toString()}`, headers)
    expect(answer.status).toBe(403)
    expect(answer.headers.get('x-clickhouse-exception-code')).toBe('516')
  })

  test.each([
    ['Basic', {}, { authorization }],
    ['headers', {}, { 'x-clickhouse-user': username, 'x-clickhouse-key': password }],
    ['URL', { user: username, password }, {}],
  ])('with the right ones by %s the answer', async (_how, parameters: Record<string, string>, headers) => {
    const answer = await get(`/?${new URLSearchParams({ query: 'SELECT 1', ...parameters }).toString()}`, headers)
    expect(answer).toMatchObject({ status: 200, text: '1\n' })
  })
})

describe('E-2: queries', () => {
  test('the URL’s part comes first, the body is appended', async () => {
    expect(await sure('+ 1', { query: 'SELECT 1' })).toBe('2\n')
    expect((await get('/?query=SELECT+7')).text).toBe('7\n')
  })

  test('a default format, by parameter or header, gives way to the query’s own', async () => {
    expect(await sure('SELECT 1 AS x', { default_format: 'JSONEachRow' })).toBe('{"x":1}\n')
    expect((await ask('SELECT 1 AS x', {}, { 'x-clickhouse-format': 'CSV' })).text).toBe('1\n')
    const csv = await ask('SELECT 1 AS x FORMAT CSVWithNames', { default_format: 'JSON' })
    expect(csv).toMatchObject({ text: '"x"\n1\n' })
    expect(csv.headers.get('x-clickhouse-format')).toBe('CSVWithNames')
    expect(csv.headers.get('content-type')).toBe('text/csv; charset=UTF-8; header=present')
  })

  test('parameters are bound by the server, whatever is in them', async () => {
    const nasty = String.raw`a\tb\\c'd"e; DROP TABLE pairs -- {x:String} ü😀`
    const answer = await sure('SELECT {s:String} AS s, {n:UInt64} AS n, {l:Array(String)} AS l FORMAT JSONEachRow', {
      param_s: nasty,
      param_n: '18446744073709551615',
      param_l: String.raw`['a\'b','c']`,
      output_format_json_quote_64bit_integers: '1',
    })
    const s = `a\tb\\c'd"e; DROP TABLE pairs -- {x:String} ü😀`
    expect(JSON.parse(answer)).toEqual({ s, n: '18446744073709551615', l: ["a'b", 'c'] })
  })

  test('parameters as fields of a form', async () => {
    const form = new FormData()
    form.set('query', 'SELECT {x:String} FORMAT TSV')
    form.set('param_x', 'y'.repeat(100_000))
    const response = await fetch(`${url}/?database=${database}`, {
      method: 'POST',
      body: form,
      headers: { authorization },
    })
    expect(await response.text()).toBe(`${'y'.repeat(100_000)}\n`)
  })

  test('settings hold for their request only, and an unknown one is the engine’s own error', async () => {
    expect(await sure("SELECT getSetting('max_block_size')", { max_block_size: '77' })).toBe('77\n')
    expect(await sure("SELECT getSetting('max_block_size')")).not.toBe('77\n')
    for (const name of ['no_such_setting', 'odd name']) {
      const answer = await ask('SELECT 1', { [name]: '1' })
      expect(answer.status).toBe(404)
      expect(answer.text).toMatch(/^Code: 115\. DB::Exception: Unknown setting '/)
    }
  })

  test('GET changes nothing; two statements, none, and a missing database have their errors', async () => {
    const created = await get(`/?database=${database}&query=CREATE+TABLE+x+(a+Int8)+ENGINE=Memory`)
    expect(created.text).toMatch(/^Code: 164\. .*\(READONLY\)/)
    expect((await ask('SELECT 1; SELECT 2')).text).toMatch(/^Code: 62\. .*Multi-statements are not allowed/)
    expect((await ask('')).text).toMatch(/^Code: 62\. .*Empty query/)
    const missing = await ask('SELECT 1', { database: 'nowhere' })
    expect(missing).toMatchObject({ status: 404 })
    expect(missing.headers.get('x-clickhouse-exception-code')).toBe('81')
  })

  test('the answer names the query and what it did', async () => {
    const answer = await ask("INSERT INTO pairs VALUES (901, 'x'), (902, 'y')", { query_id: 'mine' })
    expect(answer.headers.get('x-clickhouse-query-id')).toBe('mine')
    expect(JSON.parse(answer.headers.get('x-clickhouse-summary') ?? '')).toMatchObject({ written_rows: '2' })
  })

  test('a large result comes in pieces, all of it', async () => {
    const text = await sure('SELECT number FROM numbers(1000000) FORMAT TSV')
    expect(text.length).toBe(6_888_890)
    expect(text.endsWith('\n999999\n')).toBe(true)
  })

  test('a result that must be kept whole has a limit, which the request can raise', async () => {
    const query = 'SELECT repeat(toString(number), 60) AS s FROM numbers(1000000) FORMAT JSON'
    const answer = await ask(query)
    expect(answer.headers.get('x-clickhouse-exception-code')).toBe('396')
    expect((await ask(`SELECT 1 FORMAT JSON`, { max_result_bytes: '0' })).status).toBe(200)
  })

  test('an error in mid-result is marked in the body, and the body is cut off', async () => {
    const search = new URLSearchParams({ database, max_block_size: '1000' })
    const query = 'SELECT throwIf(number = 300000) FROM numbers(1000000) FORMAT TSV'
    const response = await fetch(`${url}/?${search.toString()}`, {
      method: 'POST',
      body: query,
      headers: { authorization },
    })
    expect(response.status).toBe(200)
    const tag = response.headers.get('x-clickhouse-exception-tag') ?? ''
    let text = ''
    const reading = (async () => {
      for await (const chunk of response.body ?? []) text += Buffer.from(chunk).toString()
    })()
    await expect(reading).rejects.toThrow('terminated')
    expect(text).toMatch(
      new RegExp(`\\r\\n__exception__\\r\\n${tag}\\r\\nCode: 395\\. .*\\d+ ${tag}\\r\\n__exception__\\r\\n$`, 's'),
    )
    const whole = await ask(query, { wait_end_of_query: '1', max_block_size: '1000' })
    expect(whole).toMatchObject({ status: 500 })
  })
})

describe('E-2: inserts', () => {
  test('RowBinary, whatever the bytes: blank lines, semicolons, quotes', async () => {
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

  test('JSONEachRow with empty lines between the rows, and with SQL in the values', async () => {
    await sure('TRUNCATE TABLE pairs')
    const body = `{"a":1,"s":"x;y"}\n\n\n{"a":2,"s":"\\n\\nDROP TABLE pairs;"}\n\n{"a":3,"s":"z"}\n`
    await ask(body, { query: 'INSERT INTO pairs FORMAT JSONEachRow' })
    expect(await sure('SELECT a, s FROM pairs ORDER BY a FORMAT JSONCompact', { wait_end_of_query: '1' })).toContain(
      String.raw`"\n\nDROP TABLE pairs;"`,
    )
    expect(await sure('SELECT count() FROM pairs')).toBe('3\n')
  })

  test('query and data in one body, in the URL, and VALUES over empty lines', async () => {
    await sure('TRUNCATE TABLE pairs')
    await sure('INSERT INTO pairs FORMAT CSV\n1,"a\n\nb"\n2,c\n')
    await sure("INSERT INTO pairs VALUES (3, 'x;'),\n\n(2 + 2, 'y');")
    await sure('(5, {v:String})', { query: 'INSERT INTO pairs (a, s) VALUES', param_v: 'bound' })
    expect(await sure('SELECT groupArray(s) FROM (SELECT * FROM pairs ORDER BY a)')).toBe(
      String.raw`['a\n\nb','c','x;','y','bound']` + '\n',
    )
  })

  test('what comes out as Native goes in again', async () => {
    await sure('TRUNCATE TABLE pairs')
    const search = new URLSearchParams({ query: "SELECT number AS a, 'x\n\n;' AS s FROM numbers(1000) FORMAT Native" })
    const native = await fetch(`${url}/?${search.toString()}`, { headers: { authorization } })
    await ask(new Uint8Array(await native.arrayBuffer()), { query: 'INSERT INTO pairs FORMAT Native' })
    expect(await sure('SELECT count(), sum(a), uniq(s) FROM pairs')).toBe('1000\t499500\t1\n')
  })

  test('gzip both ways', async () => {
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

  test('broken gzip is an error, and nothing is inserted', async () => {
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

  test('a body of 40 MB, streamed', async () => {
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

  test('a client that goes away while it sends inserts nothing', async () => {
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

  test('what the engine refuses names the code, the row and the reason', async () => {
    const answer = await ask('{"a":1,"s":"x"}\n{"a":"no","s":"y"}\n', { query: 'INSERT INTO pairs FORMAT JSONEachRow' })
    expect(answer.status).toBe(400)
    expect(answer.text).toMatch(
      /^Code: 27\. DB::Exception: .*key a\): \(at row 2\).*\(CANNOT_PARSE_INPUT_ASSERTION_FAILED\)/s,
    )
    expect((await ask('{}', { query: 'INSERT INTO nope FORMAT JSONEachRow' })).status).toBe(404)
  })
})

describe('E-2: sessions', () => {
  test('keep temporary tables and SETs, each its own; a request’s own settings do not stay', async () => {
    const session_id = `s-${process.pid}`
    await sure('CREATE TEMPORARY TABLE mine (a Int8)', { session_id })
    await sure('INSERT INTO mine VALUES (5)', { session_id, max_block_size: '77' })
    await sure('SET max_threads = 1', { session_id })
    expect(await sure("SELECT a, getSetting('max_threads') FROM mine", { session_id, session_check: '1' })).toBe(
      '5\t1\n',
    )
    expect(await sure("SELECT getSetting('max_block_size')", { session_id })).not.toBe('77\n')
    expect((await ask('SELECT a FROM mine', { session_id: 'another' })).status).toBe(404)
    expect((await ask('SELECT a FROM mine')).status).toBe(404)
  })

  test('that do not exist, are busy, or are to live too long', async () => {
    expect((await ask('SELECT 1', { session_id: 'none', session_check: '1' })).text).toMatch(/^Code: 372\./)
    expect((await ask('SELECT 1', { session_id: 'x', session_timeout: '3601' })).text).toMatch(/^Code: 374\./)
    const both = await Promise.all([1, 2].map(() => ask('SELECT sleep(0.5)', { session_id: 'busy' })))
    expect(both.map(({ status }) => status).sort((a, b) => a - b)).toEqual([200, 500])
    expect(both.map(({ text }) => text).join('')).toMatch(/Code: 373\. .*\(SESSION_IS_LOCKED\)/)
  })

  test('end when their time is over', async () => {
    const brief = { session_id: 'brief', session_timeout: '0' }
    await sure('CREATE TEMPORARY TABLE brief (a Int8)', brief)
    const again = async (): Promise<string> => (await ask('SELECT 1', { ...brief, session_check: '1' })).text
    await expect.poll(again, { interval: 20 }).toMatch(/^Code: 372\./)
  })

  test('one request after another, as fast as they come', async () => {
    for (let i = 0; i < 50; i++) expect(await sure(`SELECT ${i}`, { session_id: 'quick' })).toBe(`${i}\n`)
  })
})

describe('E-2: many at once', () => {
  test('fifty queries with settings and parameters of their own', async () => {
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        sure("SELECT {x:UInt32}, getSetting('max_block_size')", {
          param_x: String(i),
          max_block_size: String(100 + i),
        }),
      ),
    )
    expect(answers).toEqual(Array.from({ length: 50 }, (_, i) => `${i}\t${100 + i}\n`))
  })

  test('a long query holds up neither others nor the heartbeat', async () => {
    let hasEnded = false
    const long = ask('SELECT sum(sipHash64(number)) FROM numbers(200000000)').finally(() => (hasEnded = true))
    expect((await get('/ping')).text).toBe('Ok.\n')
    expect(await sure('SELECT 1')).toBe('1\n')
    expect(hasEnded).toBe(false)
    expect((await long).status).toBe(200)
  })

  test.each([
    ['sum(sipHash64(number))', 'JSON'],
    ['sipHash64(number)', 'Null'],
    ['number', 'TSV'],
  ])('a client that goes away ends its SELECT of %s as %s', async (what, format) => {
    const controller = new AbortController()
    const query = `SELECT ${what} FROM numbers(1000000000000) FORMAT ${format}`
    const running = fetch(`${url}/`, {
      method: 'POST',
      body: query,
      headers: { authorization },
      signal: controller.signal,
    }).catch(() => 'gone')
    const listed = `SELECT count() FROM system.processes WHERE query LIKE 'SELECT ${what} FROM numbers(10000000%'`
    await expect.poll(() => sure(listed), { interval: 20 }).toBe('1\n')
    controller.abort()
    await running
    await expect.poll(() => sure(listed), { interval: 20, timeout: 5000 }).toBe('0\n')
  })
})

/** Without the decompression that fetch does by itself. */
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
