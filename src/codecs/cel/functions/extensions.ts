import { celFunc, celMethod, CelScalar, celUint, isCelError, isCelUint, listType } from '@bufbuild/cel'
import type { CelFunc, CelUint, CelValue } from '@bufbuild/cel'
import { strings } from '@bufbuild/cel/ext'
import { spend } from './build-budget.ts'

const { BOOL, DOUBLE, DYN, INT, STRING, UINT } = CelScalar

/** Returns a method of the library that counts the text it builds. */
function counted(method: CelFunc): CelFunc {
  const { name, target, arguments: parameters, result } = method
  function call(self: CelValue | undefined, values: CelValue[]): CelValue {
    const value = method.call(0, self, values)
    if (value === undefined) throw new Error(`${name} does not exist for these arguments`)
    if (isCelError(value)) throw new Error(value.message)
    if (typeof value === 'string') spend(value.length)
    return value
  }
  if (target === undefined) return celFunc(name, parameters, result, (...values: CelValue[]) => call(undefined, values))
  return celMethod(name, target, parameters, result, function (...values: CelValue[]) {
    return call(this, values)
  })
}

/** Replaces the first occurrences; all for a negative count. The library's `replace` takes quadratic time. */
function replace(text: string, from: string, to: string, count: bigint): string {
  const pieces = from === '' ? ['', ...Array.from(text), ''] : text.split(from)
  const replaced = count < 0n ? pieces.length - 1 : Math.min(Number(count), pieces.length - 1)
  spend(text.length + replaced * to.length)
  const rest = pieces.slice(replaced + 1)
  return pieces.slice(0, replaced + 1).join(to) + rest.map((piece) => from + piece).join('')
}

const stringFunctions = [
  ...strings.filter(({ name }) => name !== 'replace').map(counted),
  celMethod('replace', STRING, [STRING, STRING], STRING, function (from, to) {
    return replace(this, from, to, -1n)
  }),
  celMethod('replace', STRING, [STRING, STRING, INT], STRING, function (from, to, count) {
    return replace(this, from, to, count)
  }),
]

type Numeric = bigint | number | CelUint

function numeric(value: CelValue | undefined, name: string): Numeric {
  if (typeof value === 'bigint' || typeof value === 'number' || isCelUint(value)) return value
  throw new Error(`${name}: expected numbers`)
}

const comparable = (value: Numeric): bigint | number => (isCelUint(value) ? value.value : value)

function extreme(name: string, isBetter: (value: bigint | number, best: bigint | number) => boolean): CelFunc[] {
  const choose = (values: readonly CelValue[]): Numeric => {
    if (values.length === 0) throw new Error(`${name}: the list is empty`)
    return values
      .map((value) => numeric(value, name))
      .reduce((best, value) => (isBetter(comparable(value), comparable(best)) ? value : best))
  }
  const withArguments = [2, 3, 4, 5].map((count) =>
    celFunc(
      name,
      Array.from({ length: count }, () => DYN),
      DYN,
      (...values: CelValue[]) => choose(values),
    ),
  )
  return [
    celFunc(name, [listType(DYN)], DYN, (list) => choose([...list])),
    ...[INT, UINT, DOUBLE].map((type) => celFunc(name, [type], type, (value: CelValue) => numeric(value, name))),
    ...withArguments,
  ]
}

function abs(value: bigint): bigint {
  if (value === -(2n ** 63n)) throw new Error('math.abs: the result is not a 64-bit integer')
  return value < 0n ? -value : value
}

const sign = (value: bigint): bigint => (value === 0n ? 0n : value < 0n ? -1n : 1n)
/** Rounds half away from zero, as the specification of the extension says; `Math.round` rounds half up. */
const round = (value: number): number => Math.sign(value) * Math.round(Math.abs(value))

type Bitwise = (left: bigint, right: bigint) => bigint

function bitwise(name: string, apply: Bitwise): CelFunc[] {
  return [
    celFunc(name, [INT, INT], INT, (left, right) => BigInt.asIntN(64, apply(BigInt.asUintN(64, left), right))),
    celFunc(name, [UINT, UINT], UINT, (left, right) => celUint(BigInt.asUintN(64, apply(left.value, right.value)))),
  ]
}

function shift(name: string, apply: Bitwise): CelFunc[] {
  const checked: Bitwise = (value, count) => {
    if (count < 0n) throw new Error(`${name}: the offset ${count} is negative`)
    return count > 63n ? 0n : apply(value, count)
  }
  return [
    celFunc(name, [INT, INT], INT, (value, count) => BigInt.asIntN(64, checked(BigInt.asUintN(64, value), count))),
    celFunc(name, [UINT, INT], UINT, (value, count) => celUint(BigInt.asUintN(64, checked(value.value, count)))),
  ]
}

const mathFunctions = [
  ...extreme('math.greatest', (value, best) => value > best),
  ...extreme('math.least', (value, best) => value < best),
  ...Object.entries({ ceil: Math.ceil, floor: Math.floor, round, trunc: Math.trunc }).map(([name, apply]) =>
    celFunc(`math.${name}`, [DOUBLE], DOUBLE, apply),
  ),
  celFunc('math.sqrt', [DOUBLE], DOUBLE, Math.sqrt),
  celFunc('math.sqrt', [INT], DOUBLE, (value) => Math.sqrt(Number(value))),
  celFunc('math.sqrt', [UINT], DOUBLE, ({ value }) => Math.sqrt(Number(value))),
  celFunc('math.abs', [DOUBLE], DOUBLE, Math.abs),
  celFunc('math.abs', [INT], INT, abs),
  celFunc('math.abs', [UINT], UINT, (value) => value),
  celFunc('math.sign', [DOUBLE], DOUBLE, Math.sign),
  celFunc('math.sign', [INT], INT, sign),
  celFunc('math.sign', [UINT], UINT, ({ value }) => celUint(sign(value))),
  celFunc('math.isNaN', [DOUBLE], BOOL, Number.isNaN),
  celFunc('math.isInf', [DOUBLE], BOOL, (value) => Math.abs(value) === Infinity),
  celFunc('math.isFinite', [DOUBLE], BOOL, Number.isFinite),
  ...bitwise('math.bitAnd', (left, right) => left & right),
  ...bitwise('math.bitOr', (left, right) => left | right),
  ...bitwise('math.bitXor', (left, right) => left ^ right),
  celFunc('math.bitNot', [INT], INT, (value) => ~value),
  celFunc('math.bitNot', [UINT], UINT, ({ value }) => celUint(BigInt.asUintN(64, ~value))),
  ...shift('math.bitShiftLeft', (value, count) => value << count),
  ...shift('math.bitShiftRight', (value, count) => value >> count),
]

/** The extension functions for strings and numbers that cel-go has. */
export const extensions: readonly CelFunc[] = [...stringFunctions, ...mathFunctions]
