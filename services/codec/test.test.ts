import { describe, expect, it } from 'vitest'
import { CodecFolder } from '../../test/rig/services/codec-folder.ts'

/** A temperature of two bytes; port 2 only. */
const CODEC = 'f_port == 2 ? {"t": double(int16be(input, 0)) / 10.0} : {"t": slice(input, 9)}'
const ALL_PASS = /^✓ (\S+): (\d+) samples? passed\n1 codec: \2 samples? passed\n$/

const TS013 = `[
  // Comments and trailing commas are allowed.
  { type: 'uplink', description: 'cold', input: { bytes: [255, 225], fPort: 2 }, output: { data: { t: -3.1 } } },
  { "type": "uplink", "description": "too short", "input": { "bytes": [1], "fPort": 2, "recvTime": "2020-08-02T20:00:00.000+05:00" },
    "output": { "errors": ["bytes 0 to 1 were requested"] } },
]`

const CHIRPSTACK = `[{
  "name": "Test decode",
  "input": { "bytes": [0, 226], "fPort": 2, "recvTime": "2023-05-02T20:00:00.000+00:00" },
  "expected": { "data": { "t": 22.6 }, "errors": [], "warnings": [] }
}]`

const THE_THINGS_NETWORK = `
uplinkDecoder:
  # The file of the codec
  fileName: sensor.cel
  examples:
    - description: Warm
      input: { fPort: 2, bytes: [0x00, 0xE2] }
      output:
        data: { raw: 226 }
      normalizedOutput:
        data: { t: 22.6 }
    - description: Unknown port
      input: { fPort: 3, bytes: [] }
      output:
        errors: [bytes from 9]
downlinkEncoder:
  fileName: sensor.cel
`

describe('P-13: ponix-codec test', () => {
  it.each([
    ["TS013's examples.json", 'examples.json', TS013, 2],
    ["TS013's examples.json beside several codecs", 'sensor.examples.json5', TS013, 2],
    ["ChirpStack's test_decode_*.json", 'test_decode_sensor.json', CHIRPSTACK, 1],
    ["The Things Network's codec.yaml", 'sensor-codec.yaml', THE_THINGS_NETWORK, 2],
  ])('finds and runs %s', async (_title, file, text, count) => {
    const folder = new CodecFolder({ 'sensor.cel': CODEC, [file]: text })
    for (const args of [['sensor.cel'], ['.'], ['sensor.cel', '--vectors', file]]) {
      const { code, stdout, stderr } = await folder.run('test', ...args)
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(ALL_PASS.exec(stdout)?.slice(1)).toEqual(['sensor.cel', String(count)])
    }
  })

  it('runs all codecs of a folder and its subfolders that have samples', async () => {
    const folder = new CodecFolder({
      'a/sensor.cel': CODEC,
      'a/examples.json': TS013,
      'b/c/sensor.cel': CODEC,
      'b/c/test_decode_sensor.json': CHIRPSTACK,
      'b/c/sensor-codec.yaml': THE_THINGS_NETWORK,
      'b/c/other.cel': CODEC,
      'node_modules/x/sensor.cel': CODEC,
      'node_modules/x/examples.json': TS013,
    })
    expect(await folder.run('test', '.')).toEqual({
      code: 0,
      stderr: '',
      stdout: '✓ a/sensor.cel: 2 samples passed\n✓ b/c/sensor.cel: 3 samples passed\n2 codecs: 5 samples passed\n',
    })
  })

  it('shows the differences of failed samples and ends with 1', async () => {
    const wrong = `[
      {"description": "warm", "input": {"bytes": "00E2", "fPort": 2}, "output": {"data": {"t": 22.7, "h": 40}}},
      {"description": "cold", "input": {"bytes": [255, 225], "fPort": 2}, "output": {"data": {"t": -3.1000000001}}},
      {"description": "no port", "input": {"bytes": []}, "output": {"data": {"t": 1}}},
      {"description": "port 2", "input": {"bytes": [0, 0], "fPort": 2}, "output": {"errors": ["unknown port"]}},
      {"type": "downlink-encode", "input": {"data": {}}, "output": {"bytes": [1]}}
    ]`
    const folder = new CodecFolder({ 'sensor.cel': CODEC, 'examples.json': wrong })
    const { code, stdout } = await folder.run('test', '.')
    expect(code).toBe(1)
    expect(stdout.split('\n')).toEqual([
      '✗ sensor.cel: warm (examples.json:2)',
      '    data.t: expected 22.7, got 22.6',
      '    data.h: expected 40, got nothing',
      '✗ sensor.cel: no port (examples.json:4)',
      expect.stringMatching(/^ {4}errors: expected nothing, got "line 1, column \d+: slice: bytes from 9/),
      '✗ sensor.cel: port 2 (examples.json:5)',
      '    data: expected nothing, got {"t":0}',
      '✓ sensor.cel: 1 sample passed',
      '1 codec: 1 sample passed, 3 failed, 1 skipped, which are not uplinks',
      '',
    ])
  })

  it('compares several readings with the times that the platform stores', async () => {
    const readings = (time: string) => [{ time, data: { n: 1 } }, { data: { n: 2 } }]
    const samples = ['2026-01-02T04:03:05+01:00', '2026-01-02T03:03:06Z'].map((time) => ({
      input: { bytes: [], recvTime: '2026-01-02T03:04:05Z' },
      output: { data: readings(time) },
    }))
    const folder = new CodecFolder({
      'a.cel': '[{"age_s": 60, "data": {"n": 1}}, {"age_s": 0, "data": {"n": 2}}]',
      'examples.json': JSON.stringify(samples),
    })
    const { code, stdout } = await folder.run('test', 'a.cel')
    const difference = 'expected "2026-01-02T03:03:06.000000Z", got "2026-01-02T03:03:05.000000Z"'
    expect({ code, stdout }).toEqual({ code: 1, stdout: expect.stringContaining(`data[0].time: ${difference}\n✓`) })
  })

  it('compares times with the milliseconds that a Date of JavaScript has', async () => {
    const samples = ['2026-01-02T03:04:05.598957793Z', '2026-01-02T03:04:05.597999Z'].map((time) => ({
      input: { bytes: [], recvTime: '2026-01-02T03:04:05.598957793Z' },
      output: { data: { time } },
    }))
    const folder = new CodecFolder({
      'a.js': 'const decodeUplink = ({ recvTime }) => ({ data: { time: recvTime } })',
      'examples.json': JSON.stringify(samples),
    })
    const { code, stdout } = await folder.run('test', 'a.js')
    const difference = 'data.time: expected "2026-01-02T03:04:05.597999Z", got "2026-01-02T03:04:05.598Z"'
    expect({ code, stdout }).toEqual({
      code: 1,
      stdout: expect.stringContaining(`(examples.json:1)\n    ${difference}\n✓`),
    })
  })

  it('compares output with the data of decodeUplink or of normalizeUplink', async () => {
    const sensor = (normalized: string) => `function decodeUplink({ bytes }) { return { data: { raw: bytes[0] } } }
      function normalizeUplink({ data }) { return ${normalized} }`
    const samples = [{ raw: 225 }, [{ data: { air: 22.5 } }], { raw: 224 }].map((data) => ({
      input: { bytes: [225] },
      output: { data },
    }))
    const folder = new CodecFolder({
      'a.js': sensor('{ data: [{ air: data.raw / 10 }] }'),
      'b.js': sensor('{ errors: ["no air"] }'),
      'samples.json': JSON.stringify(samples),
    })
    const { stdout } = await folder.run('test', 'a.js', 'b.js', '--vectors', 'samples.json')
    expect(stdout.split('\n')).toEqual([
      '✗ a.js: sample 3 (samples.json:1)',
      '    data: expected {"raw":224}, got [{"time":"2026-01-01T00:00:00.000000Z","data":{"air":22.5}}]',
      '✓ a.js: 2 samples passed',
      ...[1, 2, 3].flatMap((number) => [
        `✗ b.js: sample ${number} (samples.json:1)`,
        '    errors: expected nothing, got "no air"',
      ]),
      '2 codecs: 2 samples passed, 4 failed',
      '',
    ])
  })

  it('prints one JSON object for each codec with --json', async () => {
    const folder = new CodecFolder({ 'sensor.cel': CODEC, 'test_decode_sensor.json': CHIRPSTACK.replace('22.6', '0') })
    const { code, stdout } = await folder.run('test', 'sensor.cel', '--json')
    expect({ code, lines: stdout.split('\n').length }).toEqual({ code: 1, lines: 2 })
    const place = { name: 'Test decode', file: 'test_decode_sensor.json', line: 1 }
    const differences = [{ path: 'data.t', expected: 0, got: 22.6 }]
    const samples = [{ ...place, passed: false, differences }]
    expect(JSON.parse(stdout)).toEqual({ codec: 'sensor.cel', samples, skipped: 0, problems: [] })
  })

  it('colours its lines only if they are shown in colours', async () => {
    const folder = new CodecFolder({ 'sensor.cel': CODEC, 'examples.json': TS013 })
    expect((await folder.run('test', '.')).stdout).not.toContain('\u001B')
    expect((await folder.runWith({ FORCE_COLOR: '1' }, 'test', '.')).stdout).toContain(
      '\u001B[32m✓\u001B[39m sensor.cel',
    )
  })

  it('runs cayenne_lpp and several codecs with the samples of --vectors', async () => {
    const samples =
      '[{"name": "a", "input": {"bytes": [0, 103, 0, 255]}, "expected": {"data": {"temperature_0": 25.5}}}]'
    const folder = new CodecFolder({ 'lpp.cel': 'cayenne_lpp_decode(input)', 'lpp.json': samples })
    const { code, stdout } = await folder.run('test', 'cayenne_lpp', 'lpp.cel', '--vectors', 'lpp.json')
    expect({ code, summary: stdout.split('\n').at(-2) }).toEqual({ code: 0, summary: '2 codecs: 2 samples passed' })
  })

  it('stops a codec that exceeds the time limit, and runs the samples after it', async () => {
    const numbers = `[${Array.from({ length: 400 }, () => '0').join(',')}]`
    const endless = `${numbers}.all(a, ${numbers}.all(b, ${numbers} == ${numbers}))`
    const samples = [0, 0, 1].map((byte) => ({
      input: { bytes: [byte] },
      output: byte === 0 ? { errors: ['time limit of 250 ms'] } : { data: { n: true } },
    }))
    const folder = new CodecFolder({
      'a.cel': `{"n": uint8(input, 0) == 1 || ${endless}}`,
      'examples.json': JSON.stringify(samples),
    })
    expect(await folder.run('test', '.')).toMatchObject({ code: 0, stdout: expect.stringMatching(/3 samples passed/) })
  })
})

describe('P-13: ponix-codec test rejects with exit code 2', () => {
  it.each([
    ['invalid JSON5', '[\n  {]', "examples.json:2: invalid JSON5: invalid character ']' at 2:4"],
    [
      'a file without samples',
      '{"a": 1}',
      'examples.json:1: expected a list of samples, or uplinkDecoder with examples',
    ],
    [
      'a sample that is not an object',
      '[\n1]',
      'examples.json:2: sample 1: expected a sample: an object with input and output',
    ],
    [
      'a sample without input',
      '[{\n"output": {}}]',
      'examples.json:1: sample 1, input: expected an object with bytes and fPort',
    ],
    [
      'bytes beyond 255',
      '[{"input": {\n"bytes": [1,\n256]}}]',
      'examples.json:3: sample 1, input.bytes[1]: expected a byte from 0 to 255',
    ],
    [
      'an odd number of digits',
      '[{"input": {"bytes": "012"}}]',
      'examples.json:1: sample 1, input.bytes: expected bytes',
    ],
    [
      'a time without a zone',
      '[{"input": {"bytes": [],\n"recvTime": "2026-01-02T03:04:05"}}]',
      'examples.json:2: sample 1, input.recvTime: expected a time such as 2026-01-02T03:04:05Z',
    ],
    [
      'a sample without an expected result',
      '[{"input": {"bytes": []}, "output": {"errors": []}}]',
      'examples.json:1: sample 1: expected output (or expected) with data or with errors',
    ],
    [
      'an expected result without data',
      '[{"input": {"bytes": []},\n"output": {"level": 1}}]',
      'examples.json:1: sample 1: expected output (or expected) with data or with errors',
    ],
    [
      'data that JSON does not have',
      '[{"input": {"bytes": []},\n"output": {\n"data": {"a": NaN}}}]',
      'examples.json:3: sample 1, output.data: expected an object, or a list of readings',
    ],
  ])('%s', async (_title, text, message) => {
    const folder = new CodecFolder({
      'sensor.cel': CODEC,
      'examples.json': text,
      'test_decode_sensor.json': CHIRPSTACK,
    })
    const { code, stdout } = await folder.run('test', 'sensor.cel')
    const [problem, ...others] = stdout.split('\n')
    expect(problem).toContain(`✗ ${message}`)
    expect(others).toEqual(['✓ sensor.cel: 1 sample passed', '1 codec: 1 sample passed, 1 file not usable', ''])
    expect(code).toBe(2)
  })

  it.each([
    [[], "missing required argument 'codecs'"],
    [['nothing'], 'nothing: does not exist'],
    [['empty'], 'empty: contains no codec with samples'],
  ])('the arguments %j', async (args, message) => {
    const folder = new CodecFolder({ 'empty/a.cel': CODEC })
    const { code, stdout, stderr } = await folder.run('test', ...args)
    expect({ code, stdout, stderr }).toEqual({ code: 2, stdout: '', stderr: `ponix-codec: ${message}\n` })
  })

  it('a codec without samples, and samples that do not exist', async () => {
    const folder = new CodecFolder({ 'a.cel': CODEC })
    const { code, stdout } = await folder.run('test', 'a.cel')
    expect({ code, stdout }).toMatchObject({
      code: 2,
      stdout: expect.stringMatching(/^✗ a\.cel: has no samples beside it/),
    })
    const missing = await folder.run('test', 'a.cel', '--vectors', 'b.json')
    expect(missing).toMatchObject({ code: 2, stdout: expect.stringMatching(/^✗ b\.json: does not exist\n/) })
  })
})
