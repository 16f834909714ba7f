import { describe, expect, it } from 'vitest'
import { boundedWarnings } from './warnings.ts'

describe('the warnings that are kept with a row', () => {
  it('are absent if there are none', () => {
    expect(boundedWarnings(undefined)).toBeUndefined()
    expect(boundedWarnings([])).toBeUndefined()
  })

  it('have at most 500 characters each', () => {
    const fitting = 'x'.repeat(500)
    expect(boundedWarnings(['low battery', fitting, `${fitting}y`])).toEqual([
      'low battery',
      fitting,
      `${'x'.repeat(499)}…`,
    ])
  })

  it('are at most 32, of which the last counts the others', () => {
    const warnings = Array.from({ length: 40 }, (_, index) => `warning ${index}`)
    expect(boundedWarnings(warnings.slice(0, 32))).toEqual(warnings.slice(0, 32))
    expect(boundedWarnings(warnings)).toEqual([...warnings.slice(0, 31), '9 more warnings'])
  })
})
