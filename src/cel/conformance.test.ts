import type { SimpleTest } from '@bufbuild/cel-spec/cel/expr/conformance/test/simple_pb.js'
import { getConformanceSuite, type IncrementalTestSuite } from '@bufbuild/cel-spec/testdata/tests.js'
import { expect, it } from 'vitest'
import { failureOf, KNOWN_MISSES } from '../../test/rig/cel-conformance.ts'
import { Evaluator } from './evaluator.ts'

/** Extensions of the language, which P-2 does not ask for; and what needs a type checker, which nothing here is. */
const NOT_OF_THE_CORE =
  /^(bindings_ext|block_ext|encoders_ext|macros2|math_ext|optionals|proto2_ext|string_ext|type_deductions)$/
/** A device has no other names and types than `input`, and JSON must be able to say the result. */
const NOT_FOR_A_DEVICE = /unknown (variable|function|type) "|has no JSON form|JSON cannot say/

const core = getConformanceSuite()
  .suites.filter(({ name }) => !NOT_OF_THE_CORE.test(name))
  .flatMap((suite) => casesOf(suite))
const knownMisses = Object.entries(KNOWN_MISSES).flatMap(([section, names]) =>
  names.map((name) => `${section}/${name}`),
)

function casesOf(suite: IncrementalTestSuite, above = ''): { readonly path: string; readonly test: SimpleTest }[] {
  const path = `${above}${suite.name}/`
  const own = suite.tests.map(({ name, original }) => ({ path: `${path}${name}`, test: original }))
  return [...own, ...suite.suites.flatMap((inner) => casesOf(inner, path))]
}

it('P-2: of the core of the CEL specification all cases pass but the known misses, and those still fail', () => {
  const missed = core.flatMap(({ path, test }) => {
    const failure = failureOf(test)
    return failure === undefined ? [] : [{ path, failure }]
  })
  const passed = core.length - missed.length
  const share = ((100 * passed) / core.length).toFixed(1)
  process.stdout.write(`${passed} of ${core.length} cases of the CEL core pass: ${share} %\n`)
  expect(core.length).toBeGreaterThan(1600)
  expect(missed.filter(({ path }) => !knownMisses.includes(path))).toEqual([])
  expect(knownMisses.filter((path) => !missed.some((miss) => miss.path === path))).toEqual([])
})

it('P-2: an expression of a device takes what the specification takes, and fails where the specification fails', () => {
  const evaluator = new Evaluator()
  const ofADevice = core.filter(({ test }) => Object.keys(test.bindings).length === 0 && test.container === '')
  const differing = ofADevice.flatMap(({ path, test }) => {
    const result = evaluator.evaluate(`{"result": (${test.expr}\n)}`, new Uint8Array())
    const reason = result.ok ? undefined : result.reason
    if (result.ok !== (test.resultMatcher.case === 'evalError')) return []
    return reason !== undefined && NOT_FOR_A_DEVICE.test(reason) ? [] : [{ path, reason }]
  })
  expect(ofADevice.length).toBeGreaterThan(1000)
  expect(differing.filter(({ path }) => !knownMisses.includes(path))).toEqual([])
})
