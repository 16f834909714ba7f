import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { NatsClient } from '../../src/nats/connection.ts'
import { publishRefused, listDeadLetters, replayDeadLetter } from '../../src/nats/dead-letters.ts'
import { createProducer } from '../../src/nats/publisher/producer.ts'
import { encodeRawEnvelope } from '../../src/proto/envelope.ts'
import { LPP, PAYLOAD, startWholePath, type WholePath } from '../../test/rig/services/pipeline.ts'
import { builtProgram, type Outcome, Program } from '../../test/rig/program.ts'
import { freePort } from '../../test/rig/servers.ts'
import { type DeadLetterView, viewOf } from './dead-letter-view.ts'

const WAIT = { timeout: 50_000, interval: 50 }
const BROKEN = '{"t": nothing}'

let path: WholePath

beforeAll(async () => {
  path = await startWholePath()
}, 300_000)

afterAll(async () => {
  await path.stop()
})

async function ponixAnalytics(
  args: readonly string[],
  variables: NodeJS.ProcessEnv = path.variables,
): Promise<Outcome> {
  const env = { PATH: process.env['PATH'], ...variables }
  return await new Program(process.execPath, [builtProgram('analytics'), ...args], { env }).outcome
}

async function deadLetters(...args: readonly string[]): Promise<Outcome> {
  return await ponixAnalytics(['dead-letters', ...args])
}

async function listed(...filters: readonly string[]): Promise<DeadLetterView[]> {
  const { code, stdout, stderr } = await deadLetters('list', '--json', ...filters)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const lines = stdout.split('\n').filter((line) => line !== '')
  return lines.map((line): DeadLetterView => JSON.parse(line))
}

async function sequences(...filters: readonly string[]): Promise<number[]> {
  return (await listed(...filters)).map(({ sequence }) => sequence)
}

/** Returns the sequences of the dead letters of a device without starting the program, for polls. */
async function storedSequences(endDeviceId: string): Promise<number[]> {
  const found: number[] = []
  for await (const letter of listDeadLetters(path.nats)) {
    const view = viewOf(letter, { raw: 'raw_envelopes', processed: 'processed_envelopes' })
    if (view.end_device_id === endDeviceId) found.push(view.sequence)
  }
  return found
}

/** Creates dead letters of a device with an invalid expression. */
async function breakDevice(id: string, count: number): Promise<void> {
  await path.createDevice(id, BROKEN)
  const before = await path.deadLetters()
  await path.publish(id, count)
  await expect.poll(() => path.deadLetters(), WAIT).toBe(before + count)
}

/**
 * Fixes the expression of a device and publishes until an envelope has become a row. Returns the number of envelopes, each of
 * which is a row or a dead letter.
 */
async function fixDevice(id: string, broken: number): Promise<number> {
  await path.endDevices.update(id, { payloadConversion: LPP })
  let published = broken
  const converted = async (): Promise<number> => {
    await path.publish(id, 1, published++)
    return await rowsOf(id)
  }
  await expect.poll(converted, WAIT).toBeGreaterThan(0)
  const settled = async (): Promise<number> => (await rowsOf(id)) + (await storedSequences(id)).length
  await expect.poll(settled, WAIT).toBe(published)
  return published
}

async function rowsOf(id: string): Promise<number> {
  const [row] = await path.query(
    'SELECT toUInt32(count()) AS rows FROM processed_envelopes WHERE end_device_id = {device: String}',
    id,
  )
  return (row as { rows: number }).rows
}

/** Simulates a crash right after the message was stored: deletions fail. */
function unableToDelete({ nats }: WholePath): NatsClient {
  const streams = Object.create(nats.manager.streams, {
    deleteMessage: { value: () => Promise.reject(new Error('crashed')) },
  })
  return { ...nats, manager: Object.create(nats.manager, { streams: { value: streams } }) }
}

describe('P-4: ponix-analytics dead-letters list and show', () => {
  test('P-4, N-4: the commands print device, reason and payload', async () => {
    await breakDevice('listed', 1)
    const [letter] = await listed('--end-device', 'listed')
    expect(letter).toEqual({
      sequence: expect.any(Number),
      stored_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      stream: 'raw_envelopes',
      stream_sequence: expect.any(Number),
      subject: 'raw_envelopes.listed',
      service: 'analytics',
      attempts: 1,
      reason: expect.stringContaining(
        'payload conversion of device listed: line 1, column 7: unknown variable "nothing"',
      ),
      bytes: expect.any(Number),
      organization_id: 'organization',
      end_device_id: 'listed',
      occurred_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      payload: Buffer.from(PAYLOAD).toString('hex'),
    })
    const text = await deadLetters('list', '--end-device', 'listed')
    expect(text.stdout.split('\n')).toEqual([
      `${letter?.sequence}  ${letter?.stored_at}  raw_envelopes  organization/listed`,
      `    ${letter?.reason}`,
      `    payload ${Buffer.from(PAYLOAD).toString('hex')}`,
      '',
    ])
    const shown = await deadLetters('show', String(letter?.sequence), '--json')
    expect([shown.code, JSON.parse(shown.stdout)]).toEqual([0, letter])
    const shownText = await deadLetters('show', String(letter?.sequence))
    expect(shownText.stdout).toContain(`reason       ${letter?.reason}\ncontent      payload 0067`)
  })

  test('P-4, N-4: the commands print other messages in hexadecimal and escape control characters', async () => {
    const before = await path.deadLetters()
    const messageId = 'garbage'
    const producer = createProducer(path.nats)
    const stored = await producer.publish({ subject: 'raw_envelopes.x', body: Uint8Array.of(0xff, 0xff), messageId })
    const refused = { service: 'gateway', stream: 'raw_envelopes', messageId, body: Uint8Array.of(1), cause: 'test' }
    const signal = AbortSignal.timeout(10_000)
    await publishRefused(producer, { ...refused, subject: 'a/b', reason: '\u001b[2J\u202e gone' }, signal)
    producer.close()
    await expect.poll(() => path.deadLetters(), WAIT).toBe(before + 2)
    const none = { organization_id: null, end_device_id: null, occurred_at: null }
    const expected = { ...none, stream_sequence: stored.sequence, body: 'ffff' }
    expect((await listed('--reason', 'NOT A RAW ENVELOPE')).at(-1)).toMatchObject(expected)
    const text = await deadLetters('list', '--reason', 'gone')
    expect(text.stdout).toContain(String.raw`\u{1b}[2J\u{202e} gone`)
    const [refusedNow] = await listed('--reason', 'gone')
    const replayed = await deadLetters('replay', String(refusedNow?.sequence))
    expect(replayed).toMatchObject({ code: 1, stdout: '0 replayed, 1 failed\n' })
    expect(replayed.stderr).toMatch(
      /^ponix-analytics: cannot replay dead letter \d+: dead letter \d+ was rejected before .*\n$/,
    )
    expect(await listed('--reason', 'gone')).toEqual([refusedNow])
  })

  test('N-4: list combines filters by organization, device, reason, stream, time and count', async () => {
    await breakDevice('filtered', 3)
    const other = encodeRawEnvelope({
      organizationId: 'other',
      endDeviceId: 'filtered',
      payload: PAYLOAD,
      receivedAt: 1n,
    })
    const producer = createProducer(path.nats)
    await producer.publish({ subject: 'raw_envelopes.filtered', body: other, messageId: 'other' })
    producer.close()
    await expect.poll(() => storedSequences('filtered'), WAIT).toHaveLength(4)
    const all = await listed('--end-device', 'filtered')
    const numbers = all.map(({ sequence }) => sequence)
    const [, , third, fourth] = all
    const since = third?.stored_at ?? ''
    const sinceThird = all.filter(({ stored_at }) => stored_at >= since).map(({ sequence }) => sequence)
    const cases: readonly (readonly [readonly string[], readonly (number | undefined)[]])[] = [
      [['--organization', 'other'], [fourth?.sequence]],
      [['--reason', 'Unknown Variable'], numbers.slice(0, 3)],
      [['--organization', 'other', '--reason', 'unknown variable'], []],
      [['--limit', '2'], numbers.slice(0, 2)],
      [['--stream', 'processed_envelopes'], []],
      [['--stream', 'raw_envelopes', '--since', '1h'], numbers],
      [['--since', '2999-01-01'], []],
      [['--since', since], sinceThird],
    ]
    const found = await Promise.all(cases.map(([filters]) => sequences('--end-device', 'filtered', ...filters)))
    expect(found).toEqual(cases.map(([, expected]) => expected))
  })
})

describe('P-9: replayed envelopes become exactly one row each', () => {
  test('P-9, N-4: a replay after a fix creates the rows, and a second replay changes nothing', async () => {
    await breakDevice('fixed', 20)
    const published = await fixDevice('fixed', 20)
    const replayed = await deadLetters('replay', '--end-device', 'fixed')
    expect(replayed).toMatchObject({ code: 0, stderr: '' })
    const rows = { rows: published, envelopes: published }
    await expect.poll(() => path.rowsOf('fixed'), WAIT).toEqual(rows)
    expect(await storedSequences('fixed')).toEqual([])
    expect(await deadLetters('replay', '--end-device', 'fixed')).toMatchObject({ code: 0, stdout: '0 replayed\n' })
    const [, first] = /^(\d+): replayed as message \d+ of stream raw_envelopes$/m.exec(replayed.stdout) ?? []
    const again = await deadLetters('replay', String(first))
    expect(again).toMatchObject({ code: 1, stdout: '0 replayed, 1 failed\n' })
    expect(again.stderr).toContain(`dead letter ${first} does not exist`)
    expect(await path.rowsOf('fixed')).toEqual(rows)
  })

  test('P-9: concurrent and interrupted replays create no duplicate rows', async () => {
    await breakDevice('twice', 20)
    const published = await fixDevice('twice', 20)
    const dead = await storedSequences('twice')
    const [cut] = dead
    await expect(replayDeadLetter(unableToDelete(path), cut ?? 0)).rejects.toThrow('crashed')
    expect(await storedSequences('twice')).toContain(cut)
    const both = await Promise.all([1, 2].map(() => deadLetters('replay', '--end-device', 'twice', '--json')))
    for (const { stderr } of both)
      expect(stderr).toMatch(/^(ponix-analytics: .* dead letter \d+ does not exist; .*\n)*$/)
    const stored = both.flatMap(({ stdout }) => [...stdout.matchAll(/"stream_sequence":(\d+)/g)].map(([, at]) => at))
    const left = await storedSequences('twice')
    expect([new Set(stored).size, left]).toEqual([dead.length, []])
    await expect.poll(() => path.rowsOf('twice'), WAIT).toEqual({ rows: published, envelopes: published })
  })

  test('N-4: a replayed envelope that fails again becomes a new dead letter and is not replayed in the same run', async () => {
    await breakDevice('vain', 5)
    const before = await storedSequences('vain')
    const { code, stdout } = await deadLetters('replay', '--end-device', 'vain', '--limit', '3')
    expect([code, stdout.split('\n').at(-2)]).toEqual([0, '3 replayed'])
    await expect.poll(() => storedSequences('vain'), WAIT).toHaveLength(5)
    expect((await storedSequences('vain')).slice(0, 2)).toEqual(before.slice(3))
    expect(await path.rowsOf('vain')).toEqual({ rows: 0, envelopes: 0 })
  })

  test('N-4: --all replays the remaining dead letters even if some replays fail', async () => {
    await breakDevice('everything', 2)
    const replayable: number[] = []
    const stuck: number[] = []
    for await (const { sequence, streamSequence } of listDeadLetters(path.nats)) {
      if (streamSequence > 0) replayable.push(sequence)
      else stuck.push(sequence)
    }
    const { stdout } = await deadLetters('replay', '--all', '--json')
    const lines = stdout.trim().split('\n')
    expect(lines.map((line): number => JSON.parse(line).sequence)).toEqual(replayable)
    const left = await sequences()
    expect(left.filter((sequence) => replayable.includes(sequence))).toEqual([])
    expect(left).toEqual(expect.arrayContaining(stuck))
  })
})

describe('errors of the dead-letter commands', () => {
  test('N-4: a sequence that does not exist is reported in one line with exit code 1', async () => {
    expect(await deadLetters('show', '999999')).toEqual({
      code: 1,
      stdout: '',
      stderr: 'ponix-analytics: dead letter 999999 does not exist; run ponix-analytics dead-letters list\n',
    })
  })

  test('N-4: an unavailable NATS is reported immediately and after the timeout, each in one line without the password', async () => {
    const url = `nats://user:secret@127.0.0.1:${await freePort()}`
    const ended = await ponixAnalytics(['dead-letters', 'list'], {
      PONIX_NATS_URL: url,
      PONIX_STARTUP_TIMEOUT_SECS: '1',
    })
    expect(ended).toMatchObject({ code: 1, stdout: '' })
    expect(ended.stderr.split('\n')).toEqual([
      expect.stringMatching(/^ponix-analytics: waiting for NATS: .*ECONNREFUSED.* \{"address":"127\.0\.0\.1:\d+"\}$/),
      expect.stringMatching(/^ponix-analytics: NATS at 127\.0\.0\.1:\d+ did not answer for 1 s: /),
      '',
    ])
    expect(ended.stderr).not.toContain('secret')
  })

  test('N-4: wrong usage is reported in one line with exit code 2', async () => {
    expect(await deadLetters('list', '--limit', '0')).toEqual({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(/^ponix-analytics: .*expected a whole number of 1 or more.*\n$/),
    })
  })

  test('R-7: an unknown command is reported in one line, and the service does not start', async () => {
    const { code, stderr } = await ponixAnalytics(['dead-leters'])
    expect([code, stderr]).toEqual([
      2,
      'ponix-analytics: unknown command "dead-leters"; the commands are run, dead-letters, purge, redecode\n',
    ])
  })
})
