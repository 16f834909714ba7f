import { describe, expect, test } from 'vitest'
import { clickhouseHttp } from '../../../test/rig/adapters/clickhouse.ts'

const { url, username, password, authorization, database, ask, get, sure } = clickhouseHttp('queries')

describe('E-2: authentication', () => {
  test('is not required for /ping and /', async () => {
    for (const path of ['/ping', '/', '/replicas_status']) {
      expect(await get(path, {})).toMatchObject({ status: 200, text: 'Ok.\n' })
    }
    expect((await get('/elsewhere')).status).toBe(404)
  })

  test('is requested with a 401 challenge when credentials are missing', async () => {
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
  ])('fails with wrong credentials by %s', async (_how, parameters: Record<string, string>, headers) => {
    const answer = await get(`/?${new URLSearchParams({ query: 'SELECT 1', ...parameters }).toString()}`, headers)
    expect(answer.status).toBe(403)
    expect(answer.headers.get('x-clickhouse-exception-code')).toBe('516')
  })

  test.each([
    ['Basic', {}, { authorization }],
    ['headers', {}, { 'x-clickhouse-user': username, 'x-clickhouse-key': password }],
    ['URL', { user: username, password }, {}],
  ])('succeeds with the right credentials by %s', async (_how, parameters: Record<string, string>, headers) => {
    const answer = await get(`/?${new URLSearchParams({ query: 'SELECT 1', ...parameters }).toString()}`, headers)
    expect(answer).toMatchObject({ status: 200, text: '1\n' })
  })
})

describe('E-2: queries', () => {
  test('consist of the URL’s part followed by the body', async () => {
    expect(await sure('+ 1', { query: 'SELECT 1' })).toBe('2\n')
    expect((await get('/?query=SELECT+7')).text).toBe('7\n')
  })

  test('use the default format of a parameter or header unless the query has a FORMAT clause', async () => {
    expect(await sure('SELECT 1 AS x', { default_format: 'JSONEachRow' })).toBe('{"x":1}\n')
    expect((await ask('SELECT 1 AS x', {}, { 'x-clickhouse-format': 'CSV' })).text).toBe('1\n')
    const csv = await ask('SELECT 1 AS x FORMAT CSVWithNames', { default_format: 'JSON' })
    expect(csv).toMatchObject({ text: '"x"\n1\n' })
    expect(csv.headers.get('x-clickhouse-format')).toBe('CSVWithNames')
    expect(csv.headers.get('content-type')).toBe('text/csv; charset=UTF-8; header=present')
  })

  test('bind parameters with any content in the server', async () => {
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

  test('accept parameters as form fields', async () => {
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

  test('apply settings to their request only; an unknown setting is an error of the engine', async () => {
    expect(await sure("SELECT getSetting('max_block_size')", { max_block_size: '77' })).toBe('77\n')
    expect(await sure("SELECT getSetting('max_block_size')")).not.toBe('77\n')
    for (const name of ['no_such_setting', 'odd name']) {
      const answer = await ask('SELECT 1', { [name]: '1' })
      expect(answer.status).toBe(404)
      expect(answer.text).toMatch(/^Code: 115\. DB::Exception: Unknown setting '/)
    }
  })

  test('are rejected for changes by GET, two statements, an empty query and a missing database', async () => {
    const created = await get(`/?database=${database}&query=CREATE+TABLE+x+(a+Int8)+ENGINE=Memory`)
    expect(created.text).toMatch(/^Code: 164\. .*\(READONLY\)/)
    expect((await ask('SELECT 1; SELECT 2')).text).toMatch(/^Code: 62\. .*Multi-statements are not allowed/)
    expect((await ask('')).text).toMatch(/^Code: 62\. .*Empty query/)
    const missing = await ask('SELECT 1', { database: 'nowhere' })
    expect(missing).toMatchObject({ status: 404 })
    expect(missing.headers.get('x-clickhouse-exception-code')).toBe('81')
  })

  test('return query id and summary', async () => {
    const answer = await ask("INSERT INTO pairs VALUES (901, 'x'), (902, 'y')", { query_id: 'mine' })
    expect(answer.headers.get('x-clickhouse-query-id')).toBe('mine')
    expect(JSON.parse(answer.headers.get('x-clickhouse-summary') ?? '')).toMatchObject({ written_rows: '2' })
  })

  test('stream a large result completely', async () => {
    const text = await sure('SELECT number FROM numbers(1000000) FORMAT TSV')
    expect(text.length).toBe(6_888_890)
    expect(text.endsWith('\n999999\n')).toBe(true)
  })

  test('limit a buffered result, unless the request raises the limit', async () => {
    const query = 'SELECT repeat(toString(number), 60) AS s FROM numbers(1000000) FORMAT JSON'
    const answer = await ask(query)
    expect(answer.headers.get('x-clickhouse-exception-code')).toBe('396')
    expect((await ask(`SELECT 1 FORMAT JSON`, { max_result_bytes: '0' })).status).toBe(200)
  })

  test('mark an error within a result in the body and close the connection', async () => {
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
