import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { nearestName } from './nearest-name.ts'

describe('nearestName (O-6, O-20, O-21)', () => {
  it.each([
    ['stoer', ['http', 'store'], 'store'],
    ['comand', ['command', 'cwd'], 'command'],
    ['Store', ['store'], 'store'],
    ['readyness_probe', ['restart', 'readiness_probe'], 'readiness_probe'],
    ['dependsOn', ['depends_on', 'disabled'], 'depends_on'],
    ['xyz', ['store', 'http'], null],
    ['b', ['a', 'c'], null],
    ['db', ['de', 'db1'], 'de'],
    ['wb', ['db', 'web'], 'web'],
    ['wb', ['db', 'rb'], 'db'],
    ['', ['store'], null],
    ['store', [], null],
  ])('finds for %j among %j: %j', (name, candidates, expected) => {
    expect(nearestName(name, candidates)).toBe(expected)
  })

  it('finds a name after one edit', () => {
    fc.assert(
      fc.property(
        fc.stringMatching(/^[a-z]{4,12}$/),
        fc.nat(),
        fc.constantFrom('drop', 'swap', 'add'),
        (name, seed, edit) => {
          const index = seed % (name.length - 1)
          const typo = {
            drop: name.slice(0, index) + name.slice(index + 1),
            swap: name.slice(0, index) + name.charAt(index + 1) + name.charAt(index) + name.slice(index + 2),
            add: `${name.slice(0, index)}q${name.slice(index)}`,
          }[edit]
          expect(nearestName(typo, ['0000000000000', name])).toBe(typo === name ? null : name)
        },
      ),
    )
  })
})
