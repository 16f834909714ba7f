import type { SimpleTest } from '@bufbuild/cel-spec/cel/expr/conformance/test/simple_pb.js'
import { getConformanceSuite, type IncrementalTestSuite } from '@bufbuild/cel-spec/testdata/tests.js'
import { expect, it } from 'vitest'
import { failureOf, KNOWN_FAILURES } from '../../../test/rig/adapters/cel-conformance.ts'
import { Evaluator } from './evaluator.ts'
import { createPayloadConversionChecker } from './static-check.ts'

/** Language extensions and tests of a static type checker. */
const NOT_CORE =
  /^(bindings_ext|block_ext|encoders_ext|macros2|math_ext|optionals|proto2_ext|string_ext|type_deductions)$/
/** A device's expression has only the variable `input`, and its result must be JSON. */
const NOT_FOR_DEVICES = /unknown (variable|function|type) "|has no JSON form|JSON cannot represent/

/** The language extensions that expressions have. */
const EXTENSIONS = /^(math_ext|string_ext)$/

const core = casesIn((name) => !NOT_CORE.test(name))
const extensions = casesIn((name) => EXTENSIONS.test(name))
const knownFailures = Object.entries(KNOWN_FAILURES).flatMap(([section, names]) =>
  names.map((name) => `${section}/${name}`),
)

function casesIn(isIncluded: (name: string) => boolean) {
  return getConformanceSuite()
    .suites.filter(({ name }) => isIncluded(name))
    .flatMap((suite) => casesOf(suite))
}

function casesOf(suite: IncrementalTestSuite, parent = ''): { readonly path: string; readonly test: SimpleTest }[] {
  const path = `${parent}${suite.name}/`
  const own = suite.tests.map(({ name, original }) => ({ path: `${path}${name}`, test: original }))
  return [...own, ...suite.suites.flatMap((inner) => casesOf(inner, path))]
}

it('P-2: the evaluator passes all core conformance tests of the CEL specification except the known failures', () => {
  const failed = core.flatMap(({ path, test }) => {
    const failure = failureOf(test)
    return failure === undefined ? [] : [{ path, failure }]
  })
  const passed = core.length - failed.length
  const share = ((100 * passed) / core.length).toFixed(1)
  process.stdout.write(`${passed} of ${core.length} cases of the CEL core pass: ${share} %\n`)
  expect(core.length).toBeGreaterThan(1600)
  expect(failed.filter(({ path }) => !knownFailures.includes(path))).toEqual([])
  expect(knownFailures.filter((path) => !failed.some((failure) => failure.path === path))).toEqual([])
})

it('P-2: the evaluator evaluates a device expression without an error exactly if the specification does', () => {
  const evaluator = new Evaluator()
  const deviceCases = core.filter(({ test }) => Object.keys(test.bindings).length === 0 && test.container === '')
  const differences = deviceCases.flatMap(({ path, test }) => {
    const result = evaluator.evaluate(`{"result": (${test.expr}\n)}`, new Uint8Array())
    const reason = result.ok ? undefined : result.reason
    if (result.ok !== (test.resultMatcher.case === 'evalError')) return []
    return reason !== undefined && NOT_FOR_DEVICES.test(reason) ? [] : [{ path, reason }]
  })
  expect(deviceCases.length).toBeGreaterThan(1000)
  expect(differences.filter(({ path }) => !knownFailures.includes(path))).toEqual([])
})

it('P-2: the evaluator passes all conformance tests of the extensions for strings and math', () => {
  const failed = extensions.flatMap(({ path, test }) => {
    const failure = failureOf(test)
    return failure === undefined ? [] : [{ path, failure }]
  })
  expect(extensions.length).toBeGreaterThan(400)
  expect(failed).toEqual([])
})

it('P-3: the check of new expressions accepts every conformance test that a type checker accepts', () => {
  const evaluator = new Evaluator()
  const checker = createPayloadConversionChecker()
  const sources = [...core, ...extensions]
    .filter(({ test }) => !test.disableCheck && test.resultMatcher.case !== 'evalError')
    .map(({ test }) => `{"result": (${test.expr}\n)}`)
    .filter((source) => evaluator.evaluate(source, new Uint8Array()).ok)
  expect(sources.length).toBeGreaterThan(500)
  expect(sources.filter((source) => !checker.check(source).ok)).toEqual([])
})
