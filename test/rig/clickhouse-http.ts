import { afterAll, beforeAll, expect, inject } from 'vitest'

interface Asked {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

/** For a file of tests: the HTTP interface of the project's ClickHouse, and a database of the file's own with the tables `bytes` and `pairs`. */
export function clickhouseHttp(theme: string) {
  const { url, username, password } = inject('clickhouse')
  const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
  const database = `http_${theme}_${process.pid}`

  /** POST of a body with parameters in the URL, in the database of this file's own. */
  const ask = async (
    body: string | Uint8Array<ArrayBuffer>,
    parameters: Record<string, string> = {},
    headers: Record<string, string> = {},
  ): Promise<Asked> => {
    const search = new URLSearchParams({ database, ...parameters })
    const response = await fetch(`${url}/?${search.toString()}`, {
      method: 'POST',
      body,
      headers: { authorization, ...headers },
    })
    return { status: response.status, headers: response.headers, text: await response.text() }
  }

  const get = async (path: string, headers: Record<string, string> = { authorization }): Promise<Asked> => {
    const response = await fetch(`${url}${path}`, { headers })
    return { status: response.status, headers: response.headers, text: await response.text() }
  }

  /** The text of an answer that must be a success. */
  const sure = async (body: string, parameters: Record<string, string> = {}): Promise<string> => {
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

  return { url, username, password, authorization, database, ask, get, sure }
}
