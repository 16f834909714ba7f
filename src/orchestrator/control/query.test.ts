import { describe, expect, it, test } from 'vitest'
import { checkQuery, flagIn } from './query.ts'
import { routes } from './routes.ts'

const check = (query: readonly string[], given: string) => () =>
  checkQuery({ method: 'GET', path: '/logs', query }, new URLSearchParams(given))

describe('the parameters of a request', () => {
  it.each([[''], ['tail=5'], ['process=a&process=b&tail=']])('accepts "%s"', (given) => {
    expect(check(['process', 'tail'], given)).not.toThrow()
  })

  it.each([
    [['process', 'tail'], 'tial=5', 'unknown parameter "tial"; did you mean "tail"?'],
    [['process', 'tail'], 'tail=5&proces=a', 'unknown parameter "proces"; did you mean "process"?'],
    [['process', 'tail'], 'format=json', 'unknown parameter "format"; expected process, tail'],
    [[], 'tail=5', 'unknown parameter "tail"; GET /logs has no parameters in its query'],
  ])('knows %j and rejects "%s"', (query, given, message) => {
    expect(check(query, given)).toThrow(message)
  })

  it.each([
    ['', true, true],
    ['', false, false],
    ['follow=1', false, true],
    ['follow=0', true, false],
  ])('"%s" with the default %s is %s', (given, absent, value) => {
    expect(flagIn(new URLSearchParams(given), 'follow', absent)).toBe(value)
  })

  it('rejects a flag with another value', () => {
    expect(() => flagIn(new URLSearchParams('follow=yes'), 'follow', false)).toThrow('follow: expected 0 or 1')
  })
})

test.each(
  routes.map(({ method, path, query = [], parameters = '' }) => ({ route: `${method} ${path}`, query, parameters })),
)('the table of requests describes every parameter of $route', ({ query, parameters }) => {
  const described = [...parameters.matchAll(/\b([a-z_]+)=/g)].map(([, name]) => name)
  expect(new Set(described)).toEqual(new Set(query))
})
