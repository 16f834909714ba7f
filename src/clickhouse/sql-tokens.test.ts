import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { sqlTokens, type SqlDialect } from './sql-tokens.ts'

function kinds(sql: string, dialect: SqlDialect = 'ClickHouse'): string[] {
  return [...sqlTokens(sql, dialect)].map(({ kind, text }) => `${kind}:${text}`)
}

describe('E-5: SQL tokens', () => {
  test('exclude white space and comments', () => {
    expect(kinds('SELECT/* a;b */1 -- c;d\n+ 2.5e3')).toEqual(['word:SELECT', 'number:1', 'symbol:+', 'number:2.5e3'])
    expect(kinds('#! x\n# y\nSELECT')).toEqual(['word:SELECT'])
    expect(kinds('a #> b', 'PostgreSQL')).toEqual(['word:a', 'symbol:#', 'symbol:>', 'word:b'])
  })

  test('end a quoted token at its own quote', () => {
    expect(kinds(`'a''b;' "c"";" \`d;\``)).toEqual([`text:'a''b;'`, `quoted:"c"";"`, 'quoted:`d;`'])
    expect(kinds(String.raw`'a\';' 1`)).toEqual([String.raw`text:'a\';'`, 'number:1'])
    expect(kinds(String.raw`'a\' 1`, 'PostgreSQL')).toEqual([String.raw`text:'a\'`, 'number:1'])
    expect(kinds(String.raw`E'a\';' 1`, 'PostgreSQL')).toEqual([String.raw`text:E'a\';'`, 'number:1'])
  })

  test('support dollar quotes with and without a tag', () => {
    expect(kinds('$$a;$b$$ 1', 'PostgreSQL')).toEqual(['text:$$a;$b$$', 'number:1'])
    expect(kinds('$x$a;$$;$x$;', 'PostgreSQL')).toEqual(['text:$x$a;$$;$x$', 'symbol:;'])
    expect(kinds('$1', 'PostgreSQL')).toEqual(['symbol:$', 'number:1'])
  })

  test('nest comments where the dialect does', () => {
    expect(kinds('/* a /* b */ c */ 1', 'PostgreSQL')).toEqual(['number:1'])
    expect(kinds('/* a /* b */ 1', 'ClickHouse')).toEqual(['number:1'])
  })

  test.each([["'abc"], ['"abc'], ['$$abc'], ['/* abc']])('extend from an unclosed %s to the end', (sql) => {
    expect(kinds(`1 ${sql}`, 'PostgreSQL')).toEqual(['number:1', `unclosed:${sql}`])
  })

  test('cover any text in order and terminate', () => {
    const nasty = fc.string({ unit: fc.constantFrom(...`'"\`$;/*-# \n\\aé1(`.split('')) })
    fc.assert(
      fc.property(nasty, fc.constantFrom('ClickHouse', 'PostgreSQL'), (sql, dialect) => {
        let at = 0
        for (const { start, end, text } of sqlTokens(sql, dialect)) {
          expect(start).toBeGreaterThanOrEqual(at)
          expect(end).toBeGreaterThan(start)
          expect(sql.slice(start, end)).toBe(text)
          at = end
        }
        expect(at).toBeLessThanOrEqual(sql.length)
      }),
    )
  })
})
