import { describe, expect, test } from 'vitest'
import { clickhouseHttp } from '../../../test/rig/adapters/clickhouse.ts'

const { url, authorization, ask, get, sure } = clickhouseHttp('across_requests')

describe('E-2: a session', () => {
  test('keeps its own temporary tables and SETs; settings of a request end with it', async () => {
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

  test('is rejected when it is missing, busy, or has too long a timeout', async () => {
    expect((await ask('SELECT 1', { session_id: 'none', session_check: '1' })).text).toMatch(/^Code: 372\./)
    expect((await ask('SELECT 1', { session_id: 'x', session_timeout: '3601' })).text).toMatch(/^Code: 374\./)
    const both = await Promise.all([1, 2].map(() => ask('SELECT sleep(0.5)', { session_id: 'busy' })))
    expect(both.map(({ status }) => status).sort((a, b) => a - b)).toEqual([200, 500])
    expect(both.map(({ text }) => text).join('')).toMatch(/Code: 373\. .*\(SESSION_IS_LOCKED\)/)
  })

  test('expires', async () => {
    const brief = { session_id: 'brief', session_timeout: '0' }
    await sure('CREATE TEMPORARY TABLE brief (a Int8)', brief)
    const again = async (): Promise<string> => (await ask('SELECT 1', { ...brief, session_check: '1' })).text
    await expect.poll(again, { interval: 20 }).toMatch(/^Code: 372\./)
  })

  test('accepts requests in immediate succession', async () => {
    for (let i = 0; i < 50; i++) expect(await sure(`SELECT ${i}`, { session_id: 'quick' })).toBe(`${i}\n`)
  })
})

describe('E-2: concurrent queries', () => {
  test('run with separate settings and parameters', async () => {
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

  test('run beside a long query without delay', async () => {
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
  ])('end when their client disconnects: SELECT of %s as %s', async (what, format) => {
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
